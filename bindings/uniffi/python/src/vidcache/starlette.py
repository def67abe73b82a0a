"""FastAPI and Starlette: a lifespan that opens the cache, a dependency, and a function for Jinja.

    app = FastAPI(lifespan=vidcache.starlette.lifespan("/var/lib/shop/hubspot.vidcache", 62515, secret=secret))
    templates = Jinja2Templates("templates")
    vidcache.starlette.add_to(templates)

    @app.post("/webhook")
    def webhook(cache: Annotated[Cache, Depends(get_cache)]): ...

In a template: `{{ hubspot_tracking(user.id, user.email) }}` before `</body>`. Endpoints that write belong in `def`, not
`async def`: those run on a thread of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Callable, Optional

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import HTTPConnection

from ._input import UserKey
from ._page import tracking
from .cache import Cache, Path


def lifespan(path: Path, portal_id: int, **options: Any) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Opens the cache with the app's start, as `app.state.vidcache`, and closes it with its end. Options as `Cache`'s."""

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[None]:
        with Cache(path, portal_id, **options) as cache:
            app.state.vidcache = cache
            yield

    return opened


def get_cache(request: HTTPConnection) -> Cache:
    """The app's cache: a dependency for FastAPI."""
    found: Cache = request.app.state.vidcache
    return found


@pass_context
def hubspot_tracking(
    context: Context, user: Optional[UserKey] = None, email: Optional[str] = None, nonce: Optional[str] = None
) -> Markup:
    """HubSpot's snippet for the user, of an unknown visitor where there is none. Never raises."""
    return Markup(tracking(lambda: get_cache(context["request"]), user, email, nonce))


def tracking_html(
    cache: Cache, user: Optional[UserKey] = None, email: Optional[str] = None, nonce: Optional[str] = None
) -> Markup:
    """The same without a template. Never raises."""
    return Markup(tracking(lambda: cache, user, email, nonce))


def add_to(templates: Any) -> None:
    """Gives the templates (`Jinja2Templates`) the function `hubspot_tracking`."""
    templates.env.globals["hubspot_tracking"] = hubspot_tracking
