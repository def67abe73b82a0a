"""What the app goes on without is told to the logger `vidcache`; what a stranger can cause as often as they like,
seldom."""

from __future__ import annotations

import threading
import time
from typing import Optional

from .._page import report

EVERY = 3600
"""Seconds."""

_lock = threading.Lock()
_told: dict[str, tuple[float, int]] = {}


def report_seldom(outcome: str, error: Exception) -> None:
    """`report`, of each kind of error at once, and then at most once an hour with how often there was one."""
    many = _count(f"{type(error).__name__}: {error}" if getattr(error, "code", None) else type(error).__name__)
    if many is not None:
        report(outcome if many == 1 else f"{outcome} ({many} of these since the last report)", error)


def _count(what: str) -> Optional[int]:
    now = time.monotonic()
    with _lock:
        told, untold = _told.get(what, (None, 0))
        due = told is None or now - told >= EVERY
        _told[what] = (now, 0) if due or told is None else (told, untold + 1)
        return untold + 1 if due else None


def clear() -> None:
    """For tests."""
    _told.clear()
