"""The app that has the tables' migrations."""

from __future__ import annotations

from django.apps import AppConfig


class VidcacheDatabaseConfig(AppConfig):  # type: ignore[misc]
    """`vidcache.django.database`."""

    name = "vidcache.django.database"
    label = "vidcache_database"
    verbose_name = "vidcache's tables"
