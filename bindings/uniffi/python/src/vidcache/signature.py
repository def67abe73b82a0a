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
    v3_only: bool = True,
) -> None:
    """Checks that HubSpot signed a request with the app's client secret; by v3, also within five minutes of now.

    `uri` is the whole address that HubSpot called, `https://…`, the public one; `body` the bytes as they came. Of
    `headers` (names in any case) the signature's are looked at. `now_ms`: milliseconds since 1970 UTC, the clock's if None.
    `v3_only=False` takes v1 and v2 too, which name no time, so whoever has seen such a request can send it again.

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
    old = {} if v3_only else by_name
    request = native.SignedRequest(
        method=method,
        uri=uri,
        body=bytes(body),
        signature_v3=by_name.get("x-hubspot-signature-v3"),
        timestamp=by_name.get("x-hubspot-request-timestamp"),
        signature=old.get("x-hubspot-signature"),
        version=old.get("x-hubspot-signature-version"),
    )
    call(native.verify_signature, key, request, now_ms)
