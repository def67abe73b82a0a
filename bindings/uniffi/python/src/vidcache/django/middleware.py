"""The middleware, for servers with and without async."""

from __future__ import annotations

from typing import Any

from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

from . import get_cache, no_store
from .._page import keep_from_caches


class VidcacheMiddleware(MiddlewareMixin):  # type: ignore[misc]
    """Gives `request.vidcache`, opened when first used, and keeps responses with an identity from caches. Those that
    are streamed have their headers before their tags: they need the header from the view.
    """

    def process_request(self, request: Any) -> None:
        request.vidcache = SimpleLazyObject(get_cache)

    def process_response(self, request: Any, response: Any) -> Any:
        if getattr(request, "_vidcache_on_page", False):
            keep_from_caches(response.headers, no_store())
        return response
