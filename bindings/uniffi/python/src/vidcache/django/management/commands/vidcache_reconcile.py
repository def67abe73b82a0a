"""Hourly: reads what is doubtful or old, finds lost jobs and users without a contact."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vidcache import VidcacheError
from vidcache.django.reconcile import Reconcile


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_reconcile`."""

    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--rate", type=float, default=5, help="the most calls to HubSpot a second (5)")
        parser.add_argument("--create", action="store_true", help="make contacts for users whom HubSpot does not have under a known email")

    def handle(self, *_: Any, rate: float, create: bool, **__: Any) -> None:
        if rate <= 0:
            raise CommandError("--rate has to be a number of calls a second")
        try:
            done = Reconcile(rate=rate, create=create).run()
        except (VidcacheError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(
            f"{done['read']} contacts read by {done['calls']} calls, {done['linked']} users linked anew, jobs for {done['changes']} "
            f"changes and {done['users']} users, {done['conflicts']} conflicts are over"
        )
