"""The app, and the check of its settings."""

from __future__ import annotations

import os
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from .. import _input
from ..errors import CannotOpen, InvalidSecret
from . import configuration, no_store


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
    try:
        folder = os.fsdecode(os.path.dirname(os.path.abspath(_input.path(found["path"]))))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            problem = f"VIDCACHE: {folder} is no folder that this process may write to"
            problems.append(checks.Error(problem, id="vidcache.E002"))
    except CannotOpen:
        problems.append(checks.Error("VIDCACHE's path must be a str, bytes or os.PathLike", id="vidcache.E002"))
    try:
        # As the library takes it: what counts is its bytes.
        secret = _input.secret(found.get("secret") or None)
    except InvalidSecret:
        secret = b""
    if secret is None:
        problems.append(
            checks.Warning(
                "VIDCACHE has no secret: whoever has the file can test a guessed email against it",
                id="vidcache.W001",
            )
        )
    elif len(secret) < 16:
        problems.append(
            checks.Error("VIDCACHE's secret must be bytes or a str of at least 16 bytes", id="vidcache.E003")
        )
    processors = [
        name for engine in settings.TEMPLATES for name in engine.get("OPTIONS", {}).get("context_processors", [])
    ]
    if "django.template.context_processors.request" not in processors:
        problems.append(
            checks.Warning(
                "hubspot_tracking needs django.template.context_processors.request in TEMPLATES", id="vidcache.W002"
            )
        )
    middleware = list(settings.MIDDLEWARE)
    ours = next((at for at, name in enumerate(middleware) if name.endswith("VidcacheMiddleware")), None)
    if ours is None:
        problems.append(
            checks.Warning(
                "pages that name their visitor are not kept from caches: put "
                "vidcache.django.middleware.VidcacheMiddleware into MIDDLEWARE",
                id="vidcache.W003",
            )
        )
    # What stands above sees the response later: it would give it an ETag again, which `no-store` alone keeps it from.
    elif not no_store() and "django.middleware.http.ConditionalGetMiddleware" in middleware[:ours]:
        problems.append(
            checks.Warning(
                "without no_store pages that name their visitor must have no ETag: put VidcacheMiddleware above "
                "ConditionalGetMiddleware in MIDDLEWARE",
                id="vidcache.W004",
            )
        )
    return problems
