"""Tells HubSpot of a user's email and records what HubSpot answers: the job that `has_vid` enqueues.

    again = perform(payload)

is what a worker calls, of Celery (`vidcache.django.celery`), of RQ (`vidcache.django.rq`), or of the app's own.
What it keeps, whatever they do:

- HubSpot is told no sooner than a quiet period after the change began, even if the queue does not wait, and even if
  a process with a longer page deadline has come since the job was enqueued;
- one job of a user at a time, by a `Lease`, each with the email as it is then. No lock of the app's database is
  held while HubSpot is asked;
- a job that is delivered twice, or whose change is no longer outstanding, tells HubSpot nothing;
- a job whose row is gone, and whose key another row may have, tells HubSpot nothing; nor does one of a user whose
  address may not be used yet (`has_vid(usable=…)`);
- what was saved while the file could not be used (`unavailable`) is begun once it can, and the job is tried until then;
- a change that the file does not know, since the file was lost or is an old copy, is begun anew;
- a person has one contact. Before one is made for a change, theirs is looked for by the email before the change, by
  those that HubSpot was told in vain and by the present one, twice, some seconds apart; after a 404 by its id, too,
  which follows merges;
- a 409 is tried again, since the contact that holds the email may let it go. With the last try it ends the change:
  what the user's own contact holds is recorded. A new user is linked to the contact that holds their email. What
  HubSpot refuses for good ends the change at once. 429, and whatever else names a time, is tried again then;
- where neither the file nor a look-up knows a person, who is one that HubSpot may have under an email that was lost
  with a file or a job, no contact is made (`creating` says when one is) unless the app says so. The change stays
  outstanding;
- whatever else goes wrong is tried `ATTEMPTS` times over some hours. A change whose job gives up stays outstanding,
  and its pages give the id alone, until `manage.py vidcache_reconcile` (hourly) makes another job. """

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Optional

from ... import errors
from ..._page import logger, report
from .. import forgetting, get_cache, settings
from ..change import is_refused
from ..declaration import Declaration, named
from ..unavailable import of_the_file
from .lease import AGAIN, Lease
from .memory import Memory
from .telling import RowGone, Telling, is_another_row

ATTEMPTS = 10
"""How often a job is tried. Its changes are found again after that."""
SELDOM = 600.0
"""Seconds between the tries of a job that makes up for a save without the file, which are without end."""
EARLY = 1
"""Seconds by which a queue may be early."""


@dataclass(frozen=True)
class Again:
    """The job is to be enqueued again, as this payload, to be performed in `wait` seconds."""

    payload: dict[str, Any]
    wait: float


def perform(payload: dict[str, Any]) -> Optional[Again]:
    """One try of a job, or the reading of contacts after a webhook. None: there is nothing left to do. Otherwise
    the queue is given what is returned.

    Raises what the last try raised; LookupError: the model has no `has_vid` (any more).
    """
    left = float(payload.get("at", 0)) - time.time()
    if left > EARLY:
        return Again(payload, left)
    if payload.get("read"):
        from ..reconcile import Reconcile  # It enqueues jobs.

        Reconcile().read()
        return None
    job = _Job(named(payload["model"]), dict(payload, tries=int(payload.get("tries", 0)) + 1))
    try:
        wait = job.perform()
    except RowGone:
        return None
    except Exception as error:
        longer = float(job.tries**4 + 2)
        if job.makes_up and of_the_file(error):
            longer = min(longer, SELDOM)
        elif job.is_last_try:
            raise
        elif isinstance(error, errors.RateLimited) and error.retry_after is not None:
            longer = error.retry_after
        report(f"user {job.name}: a job is tried again", error)
        return job.again(job.tries, longer)
    # To wait is not a try: nothing went wrong.
    return None if wait is None else job.again(job.tries - 1, wait)


class _Job:
    def __init__(self, declaration: Declaration, payload: dict[str, Any]) -> None:
        self.declaration = declaration
        self.payload = payload
        self.name = payload["pk"]
        self.key: Any = None
        self.memory: Optional[Memory] = None

    @property
    def tries(self) -> int:
        """Which try it is: 1 for the first."""
        return int(self.payload["tries"])

    @property
    def is_last_try(self) -> bool:
        """Whether it is not tried again."""
        return self.tries >= ATTEMPTS

    @property
    def makes_up(self) -> bool:
        """Whether nobody but this job knows of what was saved."""
        return self.memory is not None and (self.memory.unbegun or self.memory.row_of is not None)

    def again(self, tries: int, wait: float) -> Again:
        """The next try, which knows itself when it is due: a queue may hand it out early."""
        payload = dict(self.payload, tries=tries, at=time.time() + wait)
        if self.memory is not None:
            payload["kept"] = self.memory.seal(self.key)
        return Again(payload, wait)

    def perform(self) -> Optional[float]:
        """Seconds to wait, or None."""
        user = self.declaration.with_pk(self.payload["pk"])
        if user is None:
            return None  # If the user is gone, so is every page about them.
        self.key = self.name = self.declaration.user_key(user)
        self.memory = Memory.open(self.payload.get("kept"), self.key)
        lease = Lease.take(self.key)
        if lease is None:
            return AGAIN
        try:
            # Read again, as they are now that no other job tells of them.
            user = self.declaration.with_pk(self.payload["pk"])
            return None if user is None else self._exclusively(user, lease)
        finally:
            lease.release()

    def _exclusively(self, user: Any, lease: Lease) -> Optional[float]:
        memory = self.memory or Memory()
        self._forget_former(memory)
        if not self._is_its(user):
            return None
        change = self._change_in_file(memory)
        telling = Telling(self.declaration, user, change, memory, self.tries, self.is_last_try)
        telling.lease = lease
        adopted = telling.adopt()
        if not self._is_untold(change) or (change is None and not adopted):
            return None
        early = self._early(change, memory)
        if early > 0:
            return early
        telling.tell()
        return None

    def _is_its(self, user: Any) -> bool:
        """Whether the job is this row's, and the address may be used. A key may be handed out again: what the job
        remembers is then the former person's email. The change of one who was forgotten is nobody's, and a job
        without a change knows when its row was made. """
        change = self.payload["change"]
        if is_another_row(self.payload.get("row_at"), self.declaration.made_at(user)):
            logger.error("user %s: a job did nothing: its user's key is another row's now", self.key)
            return False
        try:
            if change is not None:
                get_cache().is_change_outstanding(self.key, change)
        except errors.UnknownChange:
            pass
        except errors.ForeignChange as error:
            report(f"user {self.key}: a job did nothing: its change is another user's, or of one who was forgotten", error)
            return False
        return self.declaration.is_usable(user)

    def _forget_former(self, memory: Memory) -> None:
        """Once, for a row that was made while the file could not be asked whose its key was."""
        if memory.row_of is not None:
            forgetting.make_up_for(self.key, memory.row_of)
            memory.row_of = None
            self.payload["tries"] = 1

    def _change_in_file(self, memory: Memory) -> Optional[int]:
        """The change that the job is for. Where the file does not know it (it was lost, moved aside, or is an old
        copy) one of the job's own, from whose beginning on it waits as long as any process could ask it to: what
        the file said of that was lost, too. """
        change: Optional[int] = self.payload["change"]
        if change is None:
            return self._begin(memory) if memory.unbegun else None
        try:
            get_cache().is_change_outstanding(self.key, change)
        except errors.UnknownChange as error:
            change = self._begin(memory)
            if memory.creates is None:
                memory.creates = False
            report(f"user {self.key}: a job began a change of its own: the one that it was for is not in this file", error)
        return change

    def _begin(self, memory: Memory) -> int:
        own = get_cache().begin_email_change(self.key)
        self.payload.update(change=own, tries=1)
        memory.not_before = time.time() + settings.LONGEST
        memory.unbegun = False
        return own

    def _is_untold(self, change: Optional[int]) -> bool:
        """Whether the change is outstanding; without one, whether the file knows no contact of the user. Of a user
        whose contact was erased for privacy HubSpot is not told again: their change ends."""
        if change is None:
            return get_cache().resolve(self.key) is None and not is_refused(self.key)
        if not get_cache().is_change_outstanding(self.key, change):
            return False
        if not is_refused(self.key):
            return True
        get_cache().abandon_email_change(self.key, change)
        logger.error("user %s: a change ended, and HubSpot was not told: their contact was erased for privacy", self.key)
        return False

    def _early(self, change: Optional[int], memory: Memory) -> float:
        """Seconds that are left of the change's quiet period, by what the file says now."""
        from ..queue import quiet_period  # It gives this package's memory to jobs.

        if change is None:
            return 0.0
        begun_ms = get_cache().change_outstanding_since(self.key, change) or time.time() * 1000
        return max(begun_ms / 1000 + quiet_period(), memory.not_before) - time.time()
