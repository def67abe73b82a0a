"""FastAPI and Starlette: a lifespan that opens the cache, a middleware, a dependency, and functions for Jinja.

    app = FastAPI(lifespan=vidcache.starlette.lifespan("/var/lib/shop/hubspot.vidcache", 62515, secret=secret))
    app.add_middleware(vidcache.starlette.VidcacheMiddleware)
    templates = Jinja2Templates("templates")
    vidcache.starlette.add_to(templates)

    @app.post("/webhook")
    def webhook(cache: Annotated[Cache, Depends(get_cache)]): ...

In a template: `{{ hubspot_tracking(user.id, user.email) }}` before `</body>`; on the page after a sign-out
`{{ hubspot_signed_out_tag() }}` in its place. A page that the app makes itself, in the browser, gets the same as JSON:

    @app.get("/me")
    def me(request: Request, user: Annotated[User, Depends(signed_in)]):
        return {"name": user.name, "hubspot": hubspot_tracking_data(request, user.id, user.email)}

Neither belongs into a cache of fragments: they say what is so at this moment. Endpoints that write belong in `def`, not
`async def`: those run on a thread of their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Callable, Optional

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import _page
from ._input import UserKey
from .cache import Cache, Path

# What the middleware puts into the scope: a dict, so that a copy of the scope has the same one.
_STATE = "vidcache"


def lifespan(path: Path, portal_id: int, **options: Any) -> Callable[[Any], AbstractAsyncContextManager[None]]:
    """Opens the cache with the app's start, as `app.state.vidcache`, and closes it with its end. Options as
    `Cache`'s.
    """

    @asynccontextmanager
    async def opened(app: Any) -> AsyncIterator[None]:
        with Cache(path, portal_id, **options) as cache:
            app.state.vidcache = cache
            yield

    return opened


class VidcacheMiddleware:
    """Sends every response that has a page's data, or a snippet that names somebody, with `Cache-Control: private,
    no-store`, which costs the back/forward cache in Firefox.

    `no_store=False` sends `private, no-cache` and no ETag or Last-Modified instead: Firefox keeps the page for Back, and
    what keeps an old page from naming an email is the script alone.
    """

    def __init__(self, app: ASGIApp, no_store: bool = True) -> None:
        self.app, self.no_store = app, no_store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state: dict[str, bool] = {}
        scope[_STATE] = state

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and state.get("on_page"):
                _page.keep_from_caches(MutableHeaders(scope=message), self.no_store)
            await send(message)

        await self.app(scope, receive, sending)


def get_cache(request: HTTPConnection) -> Cache:
    """The app's cache: a dependency for FastAPI."""
    found: Cache = request.app.state.vidcache
    return found


@pass_context
def hubspot_tracking(
    context: Context, user: Optional[UserKey] = None, email: Optional[str] = None, nonce: Optional[str] = None
) -> Markup:
    """HubSpot's snippet for the user, of an unknown visitor where there is none. Never raises."""
    html = _page.tracking(lambda: get_cache(context["request"]), user, email, nonce)
    if _page.has_identity(html):
        _on_page(context.get("request"))
    return Markup(html)


@pass_context
def hubspot_signed_out_tag(context: Context, nonce: Optional[str] = None) -> Markup:
    """In the place of `hubspot_tracking` on the page that follows a sign-out: no identity, and HubSpot's tracker gives
    the browser a new usertoken, so that nothing it sends from here on belongs to the former user's contact. Never
    raises.
    """
    _on_page(context.get("request"))
    return Markup(_page.signed_out(lambda: get_cache(context["request"]), nonce))


def hubspot_tracking_data(
    request: HTTPConnection, user: Optional[UserKey] = None, email: Optional[str] = None
) -> dict[str, Any]:
    """What `hubspot_tracking` puts on a page, for a page that the app makes itself: see `Cache.page_data`. Never
    raises; where the cache cannot answer, the data names nobody.
    """
    _on_page(request)
    return _page.tracking_data(lambda: get_cache(request), user, email)


def hubspot_signed_out_data(request: HTTPConnection) -> dict[str, Any]:
    """The answer to a sign-out: see `Cache.signed_out_page_data`. Never raises."""
    _on_page(request)
    return _page.signed_out_data(lambda: get_cache(request))


def tracking_html(
    cache: Cache,
    user: Optional[UserKey] = None,
    email: Optional[str] = None,
    nonce: Optional[str] = None,
    *,
    request: Optional[HTTPConnection] = None,
) -> Markup:
    """`hubspot_tracking` without a template. `request`: the one that is answered, for the middleware; without it the
    response needs its `Cache-Control` from the app. Never raises."""
    html = _page.tracking(lambda: cache, user, email, nonce)
    if request is not None and _page.has_identity(html):
        _on_page(request)
    return Markup(html)


def signed_out_html(cache: Cache, nonce: Optional[str] = None, *, request: Optional[HTTPConnection] = None) -> Markup:
    """`hubspot_signed_out_tag` without a template. `request` as for `tracking_html`. Never raises."""
    if request is not None:
        _on_page(request)
    return Markup(_page.signed_out(lambda: cache, nonce))


def add_to(templates: Any) -> None:
    """Gives the templates (`Jinja2Templates`) the functions `hubspot_tracking` and `hubspot_signed_out_tag`."""
    templates.env.globals["hubspot_tracking"] = hubspot_tracking
    templates.env.globals["hubspot_signed_out_tag"] = hubspot_signed_out_tag


_warned = False


def _on_page(request: Optional[HTTPConnection]) -> None:
    """Tells the middleware that the response is not for caches. There is none without a request, nor on a web
    socket.
    """
    global _warned
    if request is None or request.scope["type"] != "http":
        return
    state = request.scope.get(_STATE)
    if state is not None:
        state["on_page"] = True
    elif not _warned:
        _warned = True
        _page.logger.warning(
            "pages that name their visitor are not kept from caches: add vidcache.starlette.VidcacheMiddleware to the app"
        )
