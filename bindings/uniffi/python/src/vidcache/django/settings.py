"""The setting VIDCACHE, with what is not given filled in."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Optional, Union

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

TRANSIT = 5.0
"""Seconds that a page view may take from the browser to HubSpot."""
LONGEST = 3600 + TRANSIT
"""Seconds: the longest quiet period that any process's page deadline can ask for."""

OF_THE_CACHE = frozenset(
    ("path", "portal_id", "secret", "old_secrets", "durable", "busy_timeout", "memory", "page_deadline", "loader_host")
)
"""Of the setting's keys those that `vidcache.Cache` takes."""
OF_THE_DATABASE = frozenset(("portal_id", "secret", "old_secrets", "page_deadline", "loader_host", "database", "schema", "max_age", "memory"))
"""Of the setting's keys those that `Database` takes, with `"store": "database"`."""
OF_DJANGO = frozenset(
    (
        "store",
        "user",
        "no_store",
        "queue",
        "rq_queue",
        "quiet_period",
        "when_unavailable",
        "access_token",
        "client_secret",
        "webhook_url",
        "webhook_signatures",
        "api_url",
        "api_path",
    )
)
"""The others."""

Enqueue = Callable[[dict[str, Any], float], object]


def given(name: str) -> Any:
    """What VIDCACHE has under that name, or None."""
    found = getattr(settings, "VIDCACHE", None)
    return found.get(name) if isinstance(found, dict) else None


def configured() -> bool:
    """Whether there is a setting at all. Without it saves are left as they are; `manage.py check` refuses that."""
    return (in_database() or given("path") is not None) and given("portal_id") is not None


def in_database() -> bool:
    """Whether the rows are in the project's own database."""
    return bool(given("store") == "database")


def configuration() -> dict[str, Any]:
    """The part of the setting that `Cache` takes, or with `"store": "database"` `Database`. Raises ImproperlyConfigured
    where it is no dict with what that needs, or has a key that nothing asks for."""
    found = getattr(settings, "VIDCACHE", None)
    if isinstance(found, dict) and found.get("store", "file") not in ("file", "database"):
        raise ImproperlyConfigured('VIDCACHE["store"] is neither "file" nor "database"')
    ours, others = (OF_THE_DATABASE, OF_THE_CACHE) if in_database() else (OF_THE_CACHE, OF_THE_DATABASE)
    needed = {"portal_id", "secret"} if in_database() else {"path", "portal_id"}
    if not isinstance(found, dict) or not needed <= found.keys():
        also = ' beside "store": "database"' if in_database() else ""
        raise ImproperlyConfigured(f"VIDCACHE must be a dict with {' and '.join(f'{chr(34)}{name}{chr(34)}' for name in sorted(needed))}{also}")
    for name in found.keys() - OF_THE_CACHE - OF_THE_DATABASE - OF_DJANGO:
        near = get_close_matches(str(name), OF_THE_CACHE | OF_THE_DATABASE | OF_DJANGO, n=1)
        meant = f': did you mean "{near[0]}"?' if near else ""
        raise ImproperlyConfigured(f'VIDCACHE has "{name}", which is none of its keys{meant}')
    if not in_database():
        for name in found.keys() & (others - ours):
            raise ImproperlyConfigured(f'VIDCACHE has "{name}", which says nothing without "store": "database"')
    # What a file alone has says nothing any more: a project may keep it until all its processes have changed over.
    return {name: value for name, value in found.items() if name in ours}


def no_store() -> bool:
    """Whether VIDCACHE leaves `no_store` on."""
    return given("no_store") is not False


def saves_without_file() -> bool:
    """Whether a user is saved while the file cannot be used: see `unavailable`. Raises ImproperlyConfigured."""
    wished = given("when_unavailable")
    if wished not in (None, "raise", "save"):
        raise ImproperlyConfigured('VIDCACHE["when_unavailable"] is neither "raise" nor "save"')
    return bool(settings.DEBUG) if wished is None else bool(wished == "save")


def enqueue() -> Enqueue:
    """The queue's function. Raises ImproperlyConfigured where there is none, or it cannot be imported."""
    queue: Union[str, Enqueue, None] = given("queue")
    if isinstance(queue, str):
        try:
            queue = import_string(queue)
        except ImportError as error:
            raise ImproperlyConfigured(f'VIDCACHE["queue"] cannot be imported: {error}') from None
    if queue is None or not callable(queue):
        raise ImproperlyConfigured('VIDCACHE has no "queue": nobody tells HubSpot of changes')
    return queue


def access_token() -> Optional[str]:
    """What HubSpot is called with, without the line's end that files and secret stores put after it; None: there is
    none.

    Raises ImproperlyConfigured: it cannot be one, and an HTTP client that was given it would repeat it in its error.
    """
    token = str(given("access_token") or "").strip()
    if re.search(r"[^!-~]", token):
        raise ImproperlyConfigured('VIDCACHE["access_token"] has a blank or a line\'s end in it')
    return token or None
