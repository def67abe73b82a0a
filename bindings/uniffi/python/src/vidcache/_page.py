"""What the web frameworks' layers share: on a page, nothing fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Optional

from .cache import Cache

logger = logging.getLogger("vidcache")


def tracking(cache: Callable[[], Cache], user: Any, email: Optional[str], nonce: Optional[str]) -> str:
    """The snippet, of the anonymous visitor where `user` is None. Where the cache cannot answer, the page says nothing.

    Of the failure the log gets what `VidcacheError` says, which holds no email, or the class of anything else.
    """
    try:
        if user is None:
            return cache().anonymous_snippet(nonce=nonce)
        return cache().snippet(user, email or None, nonce=nonce)
    except Exception as error:
        code = getattr(error, "code", None)
        logger.error("the page says nothing: %s", error if code else type(error).__name__)
        return ""
