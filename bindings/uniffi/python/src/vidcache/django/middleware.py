"""The middleware, for servers with and without async."""

from __future__ import annotations

from typing import Any

from django.utils.cache import patch_cache_control
from django.utils.deprecation import MiddlewareMixin
from django.utils.functional import SimpleLazyObject

from . import get_cache


class VidcacheMiddleware(MiddlewareMixin):  # type: ignore[misc]
    """Gives `request.vidcache`, opened when first used. A page that has the tag on it is private to its visitor."""

    def process_request(self, request: Any) -> None:
        request.vidcache = SimpleLazyObject(get_cache)

    def process_response(self, request: Any, response: Any) -> Any:
        if getattr(request, "_vidcache_on_page", False) and not response.has_header("Cache-Control"):
            patch_cache_control(response, private=True)
        return response
