"""Lists users whose email another contact holds, or whose contact is another user's. Merge the two at HubSpot."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vidcache import VidcacheError
from vidcache.django.reconcile import conflicts


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_conflicts`."""

    help = __doc__

    def handle(self, *_: Any, **__: Any) -> None:
        count = 0
        try:
            for count, one in enumerate(conflicts(), 1):
                what = "is another user's contact" if one.why == "vid_taken" else "holds their email"
                since = datetime.fromtimestamp(one.since_ms / 1000, timezone.utc).isoformat(timespec="seconds")
                self.stdout.write(
                    f"user {one.user}, contact {one.vid or 'none'}: contact {one.holder or 'unknown'} {what}, since {since}"
                )
        except VidcacheError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{count} conflicts")
