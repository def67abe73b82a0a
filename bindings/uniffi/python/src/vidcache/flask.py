"""Flask: `Vidcache(app)`, then `{{ hubspot_tracking(user.id, user.email) }}` before `</body>`.

Settings: VIDCACHE_PATH, VIDCACHE_PORTAL_ID, VIDCACHE_SECRET; VIDCACHE_OPTIONS is a dict of `Cache`'s other options.
"""

from __future__ import annotations

from typing import Any, Optional

from flask import Flask, current_app
from markupsafe import Markup

from ._input import UserKey
from ._page import tracking
from .cache import Cache


class Vidcache:
    """The extension. The file is opened by `init_app`; one that is opened before a fork is right in every worker."""

    def __init__(self, app: Optional[Flask] = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Opens the file and gives templates `hubspot_tracking`. Raises as `Cache`, and KeyError for a missing setting."""
        options: dict[str, Any] = app.config.get("VIDCACHE_OPTIONS", {})
        secret = app.config.get("VIDCACHE_SECRET")
        cache = Cache(app.config["VIDCACHE_PATH"], app.config["VIDCACHE_PORTAL_ID"], secret=secret, **options)
        app.extensions["vidcache"] = cache
        app.jinja_env.globals["hubspot_tracking"] = hubspot_tracking

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
    return Markup(tracking(current_cache, user, email, nonce))
