"""Django: put `vidcache.django` into INSTALLED_APPS, and the setting

    VIDCACHE = {"path": "/var/lib/shop/hubspot.vidcache", "portal_id": 62515, "secret": "…"}

whose other keys are `vidcache.Cache`'s options. `{% load vidcache %}{% hubspot_tracking %}` before `</body>` needs the
request context processor, and names `request.user` by `pk` and `email`; VIDCACHE's `user` (a function of the request that
returns the user key and the email, or None) has another way. `vidcache.django.middleware.VidcacheMiddleware` gives
`request.vidcache`, and keeps shared caches from handing one visitor's page to another.
"""

from __future__ import annotations

import threading
from typing import Any, Optional

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from ..cache import Cache

_lock = threading.Lock()
_cache: Optional[Cache] = None


def configuration() -> dict[str, Any]:
    """The setting, without `user`. Raises ImproperlyConfigured where it is no dict with a path and a portal_id."""
    found = getattr(settings, "VIDCACHE", None)
    if not isinstance(found, dict) or not {"path", "portal_id"} <= found.keys():
        raise ImproperlyConfigured('VIDCACHE must be a dict with "path" and "portal_id"')
    return {name: value for name, value in found.items() if name != "user"}


def get_cache() -> Cache:
    """This project's cache, opened when first asked for. Raises as `vidcache.Cache`, and ImproperlyConfigured."""
    global _cache
    found = _cache
    if found is None:
        with _lock:
            if _cache is None:
                _cache = Cache(**configuration())
            found = _cache
    return found


def _forget_cache(*, setting: str, **_: Any) -> None:
    """The tests of a project change settings."""
    global _cache
    if setting == "VIDCACHE":
        with _lock:
            closing, _cache = _cache, None
        if closing is not None:
            closing.close()


setting_changed.connect(_forget_cache)
