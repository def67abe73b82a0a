"""After an old copy of the file was put back: no page names an email until HubSpot says it anew. Then comes
vidcache_reconcile.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vidcache import VidcacheError
from vidcache.django import get_cache


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_doubt`."""

    help = __doc__

    def handle(self, *_: Any, **__: Any) -> None:
        try:
            get_cache().doubt_all()
        except VidcacheError as error:
            raise CommandError(str(error)) from None
        self.stdout.write("no page names an email now; in 5 s vidcache_reconcile can read them all again")
