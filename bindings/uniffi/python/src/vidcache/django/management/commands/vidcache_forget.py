"""Takes out all that is held on a user who is gone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vidcache import VidcacheError
from vidcache.django import get_cache


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_forget`."""

    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("user", help="the user's key")

    def handle(self, *_: Any, user: str, **__: Any) -> None:
        try:
            self.stdout.write("forgotten" if get_cache().forget(user) else "nothing was held")
        except VidcacheError as error:
            raise CommandError(str(error)) from None
