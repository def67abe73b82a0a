"""What a typed app writes: mypy and pyright look at it, nothing runs it."""

from __future__ import annotations

from typing import Optional
from uuid import UUID

import vidcache


def app(key: UUID, answer: bytes) -> Optional[int]:
    with vidcache.Cache("file", 62515, secret=b"x" * 16) as cache:
        recorded: vidcache.Recorded = cache.record(key, answer)
        vids: list[Optional[int]] = cache.resolve_many([1, "2", key])
        decision: vidcache.Decision = cache.decide(1, None)
        email: Optional[str] = decision.email
        text: str = cache.snippet("1", email, nonce=None)
        try:
            cache.begin_email_change(recorded.vid)
        except vidcache.RateLimited as error:
            wait: Optional[float] = error.retry_after
            print(wait, error.code, text)
        return vids[0]
