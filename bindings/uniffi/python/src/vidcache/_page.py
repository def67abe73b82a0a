"""What the web frameworks' layers share: on a page, nothing fails, and a page with an identity is kept from caches."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Optional, Union

if TYPE_CHECKING:
    from .cache import Cache
    from .django.database.store import Database

    AnyCache = Union[Cache, Database]
else:
    # Nothing of Django where there is none.
    AnyCache = object

logger = logging.getLogger("vidcache")

# What caches that many share (CDNs, nginx) believe before `Cache-Control`, or in its place.
_FOR_SHARED_CACHES = re.compile(".+-Cache-Control|Surrogate-Control|Edge-Control|X-Accel-Expires", re.IGNORECASE)


def tracking(cache: Callable[[], AnyCache], user: Any, email: Optional[str], nonce: Optional[str]) -> str:
    """The snippet, of the anonymous visitor where `user` is None. Where the cache cannot answer, the page says
    nothing.
    """
    try:
        if user is None:
            return cache().anonymous_snippet(nonce=nonce)
        return cache().snippet(user, email or None, nonce=nonce)
    except Exception as error:
        report("the page says nothing", error)
        return ""


def signed_out(cache: Callable[[], AnyCache], nonce: Optional[str]) -> str:
    """The snippet for the page after a sign-out; nothing where the cache cannot answer."""
    try:
        return cache().signed_out_snippet(nonce=nonce)
    except Exception as error:
        report("the page says nothing", error)
        return ""


def tracking_data(cache: Callable[[], AnyCache], user: Any, email: Optional[str]) -> dict[str, Any]:
    """The page's data. Where the cache cannot answer it names nobody, and without a cache there is none."""
    return _data(cache, lambda: cache().anonymous_page_data() if user is None else cache().page_data(user, email or None))


def signed_out_data(cache: Callable[[], AnyCache]) -> dict[str, Any]:
    """The data of a visitor who has just signed out."""
    return _data(cache, lambda: cache().signed_out_page_data())


def _data(cache: Callable[[], AnyCache], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return make()
    except Exception as error:
        report("the data names nobody", error)
    try:
        return cache().anonymous_page_data()
    except Exception:
        return {}


def report(outcome: str, error: Exception) -> None:
    """The log gets what a `VidcacheError` says, which holds no email, or the class of anything else."""
    code = getattr(error, "code", None)
    logger.error("%s: %s", outcome, error if code else type(error).__name__)


def has_identity(html: str) -> bool:
    """Whether a snippet names somebody. The script itself has neither text, nor has a nonce quotes."""
    return '"id":"vid:' in html or '"email":"' in html


def keep_from_caches(headers: Any, no_store: bool) -> None:
    """The headers (any framework's mapping) of a response with an identity, whatever else was set; `no-store` stays.

    What CDNs and nginx believe before `Cache-Control` is taken off. Without `no_store` Firefox's back/forward cache keeps the
    page. Then it has no validator, so that nobody can answer 304 and have an old page shown again.
    """
    for name in [name for name in headers.keys() if _FOR_SHARED_CACHES.fullmatch(name)]:
        if name in headers:
            del headers[name]
    if "no-store" in (headers.get("Cache-Control") or "").lower():
        return
    headers["Cache-Control"] = "private, no-store" if no_store else "private, no-cache"
    if not no_store:
        for name in ("ETag", "Last-Modified"):
            if name in headers:
                del headers[name]
