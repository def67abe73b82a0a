"""Joins what a file knows to the tables in the project's database, as often as one likes."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from vidcache import Cache, VidcacheError
from vidcache.django import get_cache, settings


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_copy FILE`."""

    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("file", help="what VIDCACHE's path was")

    def handle(self, *_: Any, file: str, **__: Any) -> None:
        if not os.path.isfile(file):
            raise CommandError(f"there is no file {file}")
        try:
            cache = get_cache()
            if isinstance(cache, Cache):
                raise CommandError('VIDCACHE["store"] is not "database": there is nothing to copy to')
            secrets = {"secret": settings.given("secret"), "old_secrets": settings.given("old_secrets") or ()}
            with Cache(file, cache.portal_id, **secrets) as opened:
                count = cache.copy(opened)
        except (VidcacheError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{count} statements: what the file knows is in the tables")
