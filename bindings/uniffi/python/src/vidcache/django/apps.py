"""The app, and the check of its settings."""

from __future__ import annotations

import os
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from . import configuration


class VidcacheConfig(AppConfig):  # type: ignore[misc]
    """`vidcache.django`."""

    name = "vidcache.django"
    label = "vidcache"
    verbose_name = "vidcache"

    def ready(self) -> None:
        checks.register(check)


def check(**_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check` says. Opens nothing."""
    try:
        found = configuration()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="vidcache.E001")]
    problems: list[checks.CheckMessage] = []
    folder = os.path.dirname(os.path.abspath(os.fspath(found["path"])))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        problems.append(checks.Error(f"VIDCACHE: {folder} is no folder that this process may write to", id="vidcache.E002"))
    secret = found.get("secret")
    if not secret:
        problems.append(
            checks.Warning(
                "VIDCACHE has no secret: whoever has the file can test a guessed email against it",
                id="vidcache.W001",
            )
        )
    elif len(secret) < 16:
        problems.append(checks.Error("VIDCACHE's secret must have at least 16 bytes", id="vidcache.E003"))
    processors = [
        name for engine in settings.TEMPLATES for name in engine.get("OPTIONS", {}).get("context_processors", [])
    ]
    if "django.template.context_processors.request" not in processors:
        problems.append(
            checks.Warning(
                "hubspot_tracking needs django.template.context_processors.request in TEMPLATES", id="vidcache.W002"
            )
        )
    return problems
