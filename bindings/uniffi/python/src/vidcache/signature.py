"""Whether a request comes from HubSpot."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Optional, Union

from . import _input, errors
from ._library import call, native


def verify_signature(
    secret: Union[str, bytes],
    *,
    method: str,
    uri: str,
    body: bytes,
    headers: Mapping[str, str],
    now_ms: Optional[int] = None,
    take_v1: bool = False,
    take_v2: bool = False,
) -> None:
    """Checks that HubSpot signed a request with the app's client secret within five minutes of now.

    `uri` is the whole address that HubSpot called, `https://…`, the public one: of the app's settings, and not of the
    request, whose `Host` and `X-Forwarded-Host` are the sender's. `body` the bytes as they came. Of `headers` (names in any
    case) the signature's are looked at. `now_ms`: milliseconds since 1970 UTC, the clock's if None.

    `take_v1`: a webhook without v3 may be signed by v1, which names no time and no address: whoever has seen a delivery,
    with whatever headers, can send it again, to another endpoint too, until its newest event is 25 hours old. `take_v2`:
    the same for v2, which names no time.

    Raises `InvalidSignature`; `InvalidOption` for the arguments, an empty secret among them. Any thread may call it.
    """
    if not isinstance(headers, Mapping) or not all(_input.is_text(part) for pair in headers.items() for part in pair):
        raise errors.InvalidOption("invalid option headers: they must be a mapping of str to str")
    if not _input.is_text(method) or not _input.is_text(uri):
        raise errors.InvalidOption("invalid option method, uri: they must be str")
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise errors.InvalidOption("invalid option body: it must be bytes, as they came")
    if now_ms is None:
        now_ms = time.time_ns() // 1_000_000
    elif not _input.fits(now_ms):
        raise errors.InvalidOption("invalid option now_ms: it must be an int")
    try:
        key = _input.secret(secret)
    except errors.InvalidSecret:
        key = None
    if key is None:
        raise errors.InvalidOption("invalid option secret: it must be bytes or a str")
    by_name = {name.lower(): value for name, value in headers.items()}
    request = native.SignedRequest(
        method=method,
        uri=uri,
        body=bytes(body),
        signature_v3=by_name.get("x-hubspot-signature-v3"),
        timestamp=by_name.get("x-hubspot-request-timestamp"),
        signature=by_name.get("x-hubspot-signature"),
        version=by_name.get("x-hubspot-signature-version"),
        take_v1=bool(take_v1),
        take_v2=bool(take_v2),
    )
    call(native.verify_signature, key, request, now_ms)
