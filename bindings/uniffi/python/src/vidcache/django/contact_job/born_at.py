"""When a file was made, which Python does not tell on Linux."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from typing import Any, Optional

_AT_FDCWD = -100
_BTIME = 0x800


class _Time(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_int64), ("nanoseconds", ctypes.c_uint32), ("_pad", ctypes.c_int32)]


class _Statx(ctypes.Structure):
    # As statx(2) has it, up to the time that is asked for.
    _fields_ = [
        ("mask", ctypes.c_uint32), ("block", ctypes.c_uint32), ("attributes", ctypes.c_uint64), ("links", ctypes.c_uint32),
        ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32), ("mode", ctypes.c_uint16), ("_pad", ctypes.c_uint16),
        ("ino", ctypes.c_uint64), ("size", ctypes.c_uint64), ("blocks", ctypes.c_uint64), ("attributes_mask", ctypes.c_uint64),
        ("accessed", _Time), ("born", _Time), ("_rest", ctypes.c_uint8 * 256),
    ]  # fmt: skip


@lru_cache(maxsize=1)
def _statx() -> Any:
    return getattr(ctypes.CDLL(None, use_errno=True), "statx", None)


def born_at(path: Any) -> Optional[float]:
    """Seconds since 1970; None: there is none, or its file system or C library does not say. Of a copy this is when
    it was copied. """
    statx = _statx()
    found = _Statx()
    if statx is None or statx(_AT_FDCWD, os.fsencode(path), 0, _BTIME, ctypes.byref(found)) != 0:
        return None
    if not found.mask & _BTIME:
        return None
    return float(found.born.seconds) + float(found.born.nanoseconds) / 1e9
