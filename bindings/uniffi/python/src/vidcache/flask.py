"""Flask: `Vidcache(app)`, then `{{ hubspot_tracking(user.id, user.email) }}` before `</body>`.

On the page after a sign-out `{{ hubspot_signed_out_tag() }}` stands in its place. A page that the app makes itself, in the
browser, gets the same as JSON:

    @app.get("/me")
    def me():
        return {"name": current_user.name, "hubspot": hubspot_tracking_data(current_user.id, current_user.email)}

Neither belongs into a cache of fragments: they say what is so at this moment. Every response that has a page's data, or a
snippet that names somebody, is sent with `Cache-Control: private, no-store`, which costs the back/forward cache in Firefox.

Settings: VIDCACHE_PATH, VIDCACHE_PORTAL_ID, VIDCACHE_SECRET; VIDCACHE_OPTIONS is a dict of `Cache`'s other options.
VIDCACHE_NO_STORE = False sends `private, no-cache` and no ETag or Last-Modified instead: Firefox keeps the page for Back, and
what keeps an old page from naming an email is the script alone.
"""

from __future__ import annotations

from typing import Any, Optional

from flask import Flask, Response, current_app, g
from markupsafe import Markup

from ._input import UserKey
from ._page import has_identity, keep_from_caches, signed_out, signed_out_data, tracking, tracking_data
from .cache import Cache


class Vidcache:
    """The extension. The file is opened by `init_app`; one that is opened before a fork is right in every worker."""

    def __init__(self, app: Optional[Flask] = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Opens the file and gives templates `hubspot_tracking` and `hubspot_signed_out_tag`. Raises as `Cache`, and
        KeyError for a missing setting."""
        options: dict[str, Any] = app.config.get("VIDCACHE_OPTIONS", {})
        secret = app.config.get("VIDCACHE_SECRET")
        cache = Cache(app.config["VIDCACHE_PATH"], app.config["VIDCACHE_PORTAL_ID"], secret=secret, **options)
        app.extensions["vidcache"] = cache
        app.jinja_env.globals["hubspot_tracking"] = hubspot_tracking
        app.jinja_env.globals["hubspot_signed_out_tag"] = hubspot_signed_out_tag
        app.after_request(_keep_from_caches)

    @property
    def cache(self) -> Cache:
        """The current app's cache."""
        return current_cache()


def current_cache() -> Cache:
    """The current app's cache; RuntimeError outside of an app's context, KeyError where the extension is not set up."""
    found: Cache = current_app.extensions["vidcache"]
    return found


def hubspot_tracking(
    user: Optional[UserKey] = None, email: Optional[str] = None, nonce: Optional[str] = None
) -> Markup:
    """HubSpot's snippet for the user, of an unknown visitor where there is none. Never raises."""
    html = tracking(current_cache, user, email, nonce)
    if has_identity(html):
        g._vidcache_on_page = True
    return Markup(html)


def hubspot_signed_out_tag(nonce: Optional[str] = None) -> Markup:
    """In the place of `hubspot_tracking` on the page that follows a sign-out: no identity, and HubSpot's tracker gives
    the browser a new usertoken, so that nothing it sends from here on belongs to the former user's contact. Never
    raises.
    """
    g._vidcache_on_page = True
    return Markup(signed_out(current_cache, nonce))


def hubspot_tracking_data(user: Optional[UserKey] = None, email: Optional[str] = None) -> dict[str, Any]:
    """What `hubspot_tracking` puts on a page, for a page that the app makes itself: see `Cache.page_data`. Never
    raises; where the cache cannot answer, the data names nobody.
    """
    g._vidcache_on_page = True
    return tracking_data(current_cache, user, email)


def hubspot_signed_out_data() -> dict[str, Any]:
    """The answer to a sign-out: see `Cache.signed_out_page_data`. Never raises."""
    g._vidcache_on_page = True
    return signed_out_data(current_cache)


def _keep_from_caches(response: Response) -> Response:
    # Taken out: an app context that was there before the request has the next request's `g`, too.
    if g.pop("_vidcache_on_page", False):
        keep_from_caches(response.headers, current_app.config.get("VIDCACHE_NO_STORE", True) is not False)
    return response
