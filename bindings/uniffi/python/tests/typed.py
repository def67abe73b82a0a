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
        quiet: float = cache.quiet_period()
        data: dict[str, object] = cache.page_data(key, email)
        token: Optional[int] = cache.lease(1, 60, renew=cache.lease(1, 0.5))
        released: bool = cache.release(1, token or 0)
        since: Optional[int] = cache.change_outstanding_since(1, 2)
        print(quiet, data, since, released, cache.signed_out_snippet(), cache.anonymous_page_data(), cache.signed_out_page_data())
        try:
            cache.begin_email_change(recorded.vid)
        except vidcache.RateLimited as error:
            wait: Optional[float] = error.retry_after
            print(wait, error.code, text)
        return vids[0]
