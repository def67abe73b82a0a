"""Django: put `vidcache.django` into INSTALLED_APPS, and the setting

    VIDCACHE = {"path": "/var/lib/shop/hubspot.vidcache", "portal_id": 62515, "secret": "…"}

whose other keys are `vidcache.Cache`'s options. `{% load vidcache %}{% hubspot_tracking %}` before `</body>` needs
the request context processor, and names `request.user` by `pk` and `email`; VIDCACHE's `user` (a function of the
request that returns the user key and the email, or None) has another way. On the page after a sign-out `{%
hubspot_signed_out_tag %}` stands in its place. A page that the app makes itself, in the browser, gets
`hubspot_tracking_data(request)` as JSON:

    def me(request):
        return JsonResponse({"name": request.user.first_name, "hubspot": hubspot_tracking_data(request)})

Neither tag nor data belongs into a fragment cache: they say what is so at this moment.

`vidcache.django.middleware.VidcacheMiddleware` gives `request.vidcache`, and sends every response that has a page's
data, or a snippet that names somebody, with `Cache-Control: private, no-store`, which costs the back/forward cache
in Firefox. VIDCACHE's `"no_store": False` sends `private, no-cache` and no ETag or Last-Modified instead: Firefox
keeps the page for Back, and what keeps an old page from naming an email is the script alone. It must then stand
above Django's ConditionalGetMiddleware, which gives an ETag to what has none; `manage.py check` says so. """

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Optional, Union

from django.conf import settings as of_django
from django.core.signals import setting_changed

from .. import _page
from ..cache import Cache
from .declaration import declaration_of, has_vid
from .settings import configuration, given, in_database, no_store

if TYPE_CHECKING:
    from .database.store import Database

_lock = threading.Lock()
_cache: Union[Cache, Database, None] = None


def get_cache() -> Union[Cache, Database]:
    """The project's cache, opened when first asked for: of a file, or, with `"store": "database"`, of the project's own
    PostgreSQL. Raises as `vidcache.Cache`, or `vidcache.django.database.store.Database`, and ImproperlyConfigured."""
    global _cache
    found = _cache
    if found is None:
        with _lock:
            if _cache is None:
                _cache = _of_database() if in_database() else _of_file()
            found = _cache
    return found


def _of_file() -> Cache:
    cache = Cache(**configuration())
    passing = None if of_django.DEBUG else cache.stats().passing
    if passing is not None:
        _page.logger.warning("VIDCACHE: the file is on %s, and everything that it knows with it: mount a volume at its folder", passing)
    return cache


def _of_database() -> Database:
    from .database.store import Database  # It asks Django for a connection, which a file does not.

    return Database(**configuration())


def hubspot_tracking_data(request: Any) -> dict[str, Any]:
    """What `{% hubspot_tracking %}` puts on a page, for a page that the app makes itself: see `Cache.page_data`. Never
    raises; where the cache cannot answer, the data names nobody.
    """
    on_page(request)
    try:
        user, email = visitor(request) or (None, None)
    except Exception as error:
        _page.report("the data names nobody", error)
        user, email = None, None
    return _page.tracking_data(get_cache, user, email)


def hubspot_signed_out_data(request: Any) -> dict[str, Any]:
    """The answer to a sign-out: see `Cache.signed_out_page_data`. Never raises."""
    on_page(request)
    return _page.signed_out_data(get_cache)


def visitor(request: Any) -> Optional[tuple[Any, Optional[str]]]:
    """The user key and the email of the request's user, or None."""
    by_app = given("user")
    if by_app is not None:
        who: Optional[tuple[Any, Optional[str]]] = by_app(request)
        return who
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    declaration = declaration_of(user)
    if declaration is not None:
        return declaration.user_key(user), declaration.email_of(user)
    return user.pk, getattr(user, user.get_email_field_name(), None)


def on_page(request: Any) -> None:
    """Tells the middleware that the response is not for caches."""
    if request is not None:
        request._vidcache_on_page = True


def _forget_cache(*, setting: str, **_: Any) -> None:
    """The tests of a project change settings."""
    global _cache
    if setting == "VIDCACHE":
        with _lock:
            closing, _cache = _cache, None
        if closing is not None:
            closing.close()


setting_changed.connect(_forget_cache)

# They ask this module for the cache.
from .statements import hubspot_email_will_change, hubspot_emails_will_change  # noqa: E402
from .written import UnseenEmailChange  # noqa: E402

__all__ = [
    "UnseenEmailChange",
    "configuration",
    "get_cache",
    "has_vid",
    "hubspot_email_will_change",
    "hubspot_emails_will_change",
    "hubspot_signed_out_data",
    "hubspot_tracking_data",
    "no_store",
    "on_page",
    "visitor",
]
