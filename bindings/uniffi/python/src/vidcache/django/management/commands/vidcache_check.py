"""Says of each thing that has to be right whether it is: the settings, the file or the tables, HubSpot's token, the
clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from vidcache import Cache, VidcacheError
from vidcache.django import get_cache, settings
from vidcache.django.checks import check, check_deployed
from vidcache.django.contact_job import hubspot_api
from vidcache.django.declaration import declared

if TYPE_CHECKING:
    from vidcache.django.database.store import Database

CLOCK = 5
"""Seconds by which the clock may be off HubSpot's."""

Line = tuple[bool, str]


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_check`. Ends non-zero if anything is wrong."""

    help = __doc__
    requires_system_checks: list[str] = []

    def handle(self, *_: Any, **__: Any) -> None:
        wrong = 0
        for fine, said in [*_settings(), *_file(), *_hubspot()]:
            wrong += not fine
            self.stdout.write(f"{'fine ' if fine else 'WRONG'} {said}")
        if wrong:
            raise CommandError(f"{wrong} things are to be put right")


def _settings() -> Iterator[Line]:
    for problem in [*check(), *check_deployed()]:
        hint = f" ({problem.hint})" if problem.hint else ""
        yield problem.level < checks.WARNING, f"{problem.msg}{hint}"
    for declaration in declared():
        yield True, f"changes of {declaration.label}.{declaration.email} are begun (table {declaration.table})"


def _file() -> Iterator[Line]:
    try:
        cache = get_cache()
        if isinstance(cache, Cache):
            yield True, f"the file is portal {cache.portal_id}'s, and jobs wait {cache.quiet_period():g} s"
        else:
            yield from _database(cache)
        stale = len(cache.stale_changes(older_than=3600))
        yield stale == 0, f"{stale} changes are outstanding for longer than an hour: vidcache_reconcile, hourly, gives them another job"
    except (VidcacheError, ImproperlyConfigured) as error:
        yield False, f"what is known: {error}"


def _database(cache: Database) -> Iterator[Line]:
    wrong = cache.verify()
    began = time.perf_counter()
    cache.decide(0, None)
    took = (time.perf_counter() - began) * 1000
    yield not wrong, "; ".join(wrong) or f"the tables are portal {cache.portal_id}'s, and jobs wait {cache.quiet_period():g} s; a page asks for {took:.1f} ms"
    for name, value in cache.timeouts().items():
        yield True, f"{name} is {'not set: a page waits as long as a statement does' if value == '0' else value}"


def _hubspot() -> Iterator[Line]:
    try:
        if settings.access_token() is None:
            return
        # Whether anybody has this id does not matter: who may not read contacts is told so first.
        answer = hubspot_api.read(1)
    except (ImproperlyConfigured, OSError) as error:
        yield False, f"HubSpot: {error}"
        return
    said = {401: "HubSpot does not know the access token", 403: "the token lacks the scope crm.objects.contacts.read"}
    if answer.status in (200, 404):
        yield True, "HubSpot takes the access token, and contacts can be read (that it may write, the scope crm.objects.contacts.write, is not tried)"
    else:
        yield False, said.get(answer.status, f"HubSpot answered with {answer.status}")
    date = answer.headers.get("Date")
    if date:
        off = abs(parsedate_to_datetime(date).timestamp() - time.time())
        yield off <= CLOCK + 1, f"the clock is {off:.0f} s off HubSpot's"
