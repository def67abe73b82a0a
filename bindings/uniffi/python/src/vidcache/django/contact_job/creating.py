"""When a job may make a contact. Somebody whom no look-up finds may be known to HubSpot under an email that went
with a lost file or a lost job, or may have been erased. So one is made

- for a sign-up, by its own job; after the file was lost only as long as the email is the one that they signed up
  with, since a queue may hand out a job again that has made a contact before;
- for a change, by its own job (the one that knows the email before), if the file knows the user's contact, which is
  gone, or if the row is younger than the file: then nothing that was known of the user went with another file;
- for a user whose sign-up's job was lost, if the row is younger than the file and than `RECENT`, and no change is
  outstanding.

For everybody else the app has to say so (`--create`). Rows without a `date_joined`, `created_at` or `created` are
never younger, and no row is where the file system does not say when a file was made. Of the rows in the project's
database that is when its tables were set up. """

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Optional

from ... import errors
from ..._page import logger
from ...cache import Cache
from .. import get_cache, settings
from ..change import changes_of
from . import hubspot_api
from .born_at import born_at
from .hubspot_api import Answer
from .lease import NotYet

if TYPE_CHECKING:
    from .telling import Telling

RECENT = 7 * 86_400
"""Seconds. Whoever signed up earlier and has no contact is none whose job was lost a moment ago."""
PATIENCE = 5
"""The try with which a job waits for those of other changes no more: minutes after its first."""


def may_create(job: Telling, *, linked: bool) -> bool:
    """`linked`: whether the file knows a contact of the user."""
    memory = job.memory
    if memory.creates is True:
        return True
    if memory.creates is None:
        signs_up = job.change is None and memory.signed_up_as in (None, job.email)
        return linked or signs_up or _is_younger(job)
    is_known = job.declaration.known_vid(job.user) is not None
    return job.change is None and not is_known and _is_younger(job, RECENT) and not changes_of(job.key)


def _is_younger(job: Telling, recent: Optional[float] = None) -> bool:
    cache = get_cache()
    made_at, born = job.made_at, born_at(settings.given("path")) if isinstance(cache, Cache) else cache.made_at()
    if made_at is None or born is None or made_at < born:
        return False
    return recent is None or made_at > time.time() - recent


def create_after_all(job: Telling, *, linked: bool = False) -> None:
    """Nobody was found, and that counts the second time only, some seconds later."""
    creates = may_create(job, linked=linked)
    if creates and job.email is None:
        job.abandon()
    elif not job.memory.none_found:
        job.memory.none_found = True
        raise errors.ContactMissing("HubSpot has no such contact")
    elif creates:
        create(job)
    else:
        _leave_it(job)


def _leave_it(job: Telling) -> None:
    logger.error(
        "user %s: HubSpot has nobody of the emails that are known, and may have the user under another one: no contact was made, "
        "and the change stays outstanding. `manage.py vidcache_reconcile --create` makes contacts for all such users",
        job.key,
    )


def create(job: Telling) -> None:
    """Makes a contact with the user's email, or links them to the one that holds it."""
    email = job.email
    if email is None or not _others_went_first(job):
        return _leave_it(job)
    # If the answer is lost, and the email another one by the next try, this is how HubSpot knows the user.
    job.memory.add(email)
    try:
        job.record(job.write(lambda: hubspot_api.create(email)))
    except (errors.ContactConflict, errors.AnswerWithoutId):
        # HubSpot knows this person already, from a form or a newsletter; or does not say which contact it has made.
        answer: Optional[Answer] = job.look_up(lambda: hubspot_api.read_by_email(email))
        if answer is None:
            raise
        job.record(answer)
    return None


def _others_went_first(job: Telling) -> bool:
    """Each change's job knows another email that HubSpot may have for the user, so those of other changes go first;
    if none of them finds anybody either, the oldest one's makes the contact. """
    changes = changes_of(job.key)
    if all(change["token"] == job.change for change in changes):
        return True
    oldest = min(changes, key=lambda change: (change["begun_at"], change["token"]))
    if oldest["token"] == job.change and job.tries >= PATIENCE:
        return True
    if not job.is_last_try:
        raise NotYet("another change of the user goes first")
    return False
