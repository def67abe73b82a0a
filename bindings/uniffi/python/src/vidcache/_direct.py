"""What a page asks, past UniFFI: C functions beside it in the same library. They keep the GIL, since they never wait,
and giving it up costs more than the answer.

`at` is where the cache is, kept by the caller for the call. Whatever is not answered here, an error above all, is None or
ASK, and then to be asked through UniFFI.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Optional
from uuid import UUID

from ._input import HIGHEST, LOWEST
from ._library import native
from .values import Decision

ASK = -1


class _Decision(ctypes.Structure):
    """Email of 254 bytes and the NUL that ends it."""

    _fields_ = (("id", ctypes.c_int64), ("email", ctypes.c_char * 255))


# A page's HTML takes some 2,000 bytes, with an email and a nonce as they are.
_ROOM = 4096
_Html: Any = ctypes.c_char * _ROOM
_REASONS: tuple[str, ...] = tuple(native.reasons())


def _function(name: str, *arguments: Any) -> Any:
    found = _library[name]
    found.argtypes, found.restype = (ctypes.c_void_p, *arguments), ctypes.c_int64
    return found


_library = ctypes.PyDLL(os.path.abspath(native._UniffiLib._name))
_text = (ctypes.c_char_p, ctypes.c_size_t)
_resolve_id = _function("vidcache_try_resolve_id", ctypes.c_int64)
_resolve_text = _function("vidcache_try_resolve_text", *_text)
_decide = _function("vidcache_try_decide", *_text, *_text, ctypes.POINTER(_Decision))
_snippet = _function("vidcache_try_snippet", *_text, *_text, *_text, ctypes.c_void_p, ctypes.c_size_t)


def _bytes(value: object) -> Optional[bytes]:
    """Of a str. Not of one that UTF-8 cannot carry, nor of a class of the app's that could have an `encode` of its
    own.
    """
    if type(value) is str:
        try:
            return value.encode()
        except UnicodeEncodeError:
            pass
    return None


def _user(value: object) -> Optional[bytes]:
    if type(value) is int:
        return b"%d" % value if LOWEST <= value <= HIGHEST else None
    if type(value) is UUID:
        value = str(value)
    return _bytes(value)


def resolve(at: int, user: object) -> int:
    """The contact, 0 for none, or ASK."""
    if type(user) is int:
        return _resolve_id(at, user) if LOWEST <= user <= HIGHEST else ASK
    key = _user(user)
    return ASK if key is None else _resolve_text(at, key, len(key))


def decide(at: int, user: object, email: object) -> Optional[Decision]:
    key, named = _user(user), _bytes(email)
    if key is None or (named is None and email is not None):
        return None
    out = _Decision()
    reason = _decide(at, key, len(key), named, len(named or b""), ctypes.byref(out))
    if reason < 0:
        return None
    return Decision(out.email.decode() or None, out.id or None, _REASONS[reason])


def snippet(at: int, user: object, email: object, nonce: object) -> Optional[str]:
    key = _user(user)
    return None if key is None else _page(at, key, email, nonce)


def anonymous_snippet(at: int, nonce: object) -> Optional[str]:
    return _page(at, None, None, nonce)


def _page(at: int, key: Optional[bytes], email: object, nonce: object) -> Optional[str]:
    named, once = _bytes(email), _bytes(nonce)
    if (named is None and email is not None) or (once is None and nonce is not None):
        return None
    # One of its own for each call: another thread or a signal's handler may ask for its page before this one is read.
    html = _Html()
    size = _snippet(at, key, len(key or b""), named, len(named or b""), once, len(once or b""), html, _ROOM)
    return None if size < 0 else html[:size].decode()
