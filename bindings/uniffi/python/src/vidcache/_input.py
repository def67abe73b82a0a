"""What Python hands over, as the library takes it. What cannot be right is an error of the library's, whatever its
type.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from . import errors

UserKey = Union[int, str, uuid.UUID]
Answer = Union[bytes, bytearray, memoryview, str, Mapping[str, Any]]

LOWEST, HIGHEST = -(2**63), 2**63 - 1


def is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def fits(value: object) -> bool:
    """Whether it is an integer of 64 bits."""
    return is_int(value) and LOWEST <= value <= HIGHEST  # type: ignore[operator]


def is_text(value: object) -> bool:
    """Whether it is text that UTF-8 can carry: a lone surrogate cannot be."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def user_key(value: object) -> str:
    if isinstance(value, str):
        if is_text(value):
            return value if type(value) is str else str.__str__(value)
        raise errors.InvalidUserKey("invalid user key: it is not UTF-8")
    if is_int(value):
        if fits(value):
            return int.__repr__(value)
        raise errors.InvalidUserKey("invalid user key: it is not an integer of 64 bits")
    if isinstance(value, uuid.UUID):
        return str(value)
    raise errors.InvalidUserKey("invalid user key: it must be an int, a str or a UUID")


def email(value: object) -> Optional[str]:
    if value is None or is_text(value):
        return value  # type: ignore[return-value]
    raise errors.InvalidEmail("invalid email: it must be a str of UTF-8, or None")


def vid(value: object) -> int:
    if fits(value):
        return int(value)  # type: ignore[call-overload, no-any-return]
    raise errors.InvalidVid("invalid vid: it must be an int from 1 to 2^63 - 1")


def change(value: object) -> int:
    if fits(value):
        return int(value)  # type: ignore[call-overload, no-any-return]
    raise errors.UnknownChange("unknown change token")


def lease(value: object) -> int:
    """What is no number that the core gives out holds nothing, as 0 does."""
    return int(value) if fits(value) else 0  # type: ignore[call-overload]


def optional_text(value: object, name: str) -> Optional[str]:
    if value is None or is_text(value):
        return value  # type: ignore[return-value]
    raise errors.InvalidOption(f"invalid option {name}: it must be a str of UTF-8, or None")


def milliseconds(value: object, name: str) -> int:
    """Of seconds."""
    if (is_int(value) or isinstance(value, float)) and math.isfinite(value) and 0 <= value <= 1e12:  # type: ignore[arg-type, operator]
        return round(value * 1000)  # type: ignore[operator]
    raise errors.InvalidOption(f"invalid option {name}: it must be a number of seconds")


def time(value: object) -> Optional[int]:
    """Milliseconds since 1970."""
    if value is None or (is_int(value) and -(2**63) <= value < 2**63):  # type: ignore[operator]
        return value  # type: ignore[return-value]
    raise errors.InvalidOption("invalid option asked_at_ms: it must be an int of milliseconds since 1970")


def count(value: object, name: str, most: int) -> int:
    if is_int(value) and 0 <= value <= most:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload, no-any-return]
    raise errors.InvalidOption(f"invalid option {name}: it must be an int from 0 to {most}")


def secrets(values: object) -> list[bytes]:
    """The secrets that were before. Raises InvalidOption for what is no sequence, InvalidSecret for what is in it."""
    if isinstance(values, (bytes, str)) or not isinstance(values, Sequence):
        raise errors.InvalidOption("invalid option old_secrets: they must be a list of bytes or str")
    found = [secret(value) for value in values]
    if None in found:
        raise errors.InvalidSecret("invalid secret: it must be bytes or a str of UTF-8")
    return [value for value in found if value is not None]


def secret(value: object) -> Optional[bytes]:
    if value is None:
        return None
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if is_text(value):
        return value.encode()  # type: ignore[attr-defined, no-any-return]
    raise errors.InvalidSecret("invalid secret: it must be bytes or a str of UTF-8")


def path(value: object) -> bytes:
    try:
        return os.fsencode(value)  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        raise errors.CannotOpen("cannot open the file: its path must be a str, bytes or os.PathLike") from None


def answer(value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if is_text(value):
        return value.encode()  # type: ignore[attr-defined, no-any-return]
    if isinstance(value, (Mapping, list)):
        try:
            return json.dumps(value if isinstance(value, list) else dict(value)).encode()
        except (TypeError, ValueError, RecursionError):
            pass
    raise errors.InvalidAnswer("invalid answer: it must be the body as bytes or str, or what json.loads made of it")
