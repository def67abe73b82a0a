"""The right to tell HubSpot of one user (`Cache.lease`), as a job has it: one job of a user at a time, on all
processes that use the file, with no lock of the app's database. A process that dies with it keeps the user's other
jobs waiting for `SECONDS`. """

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from ... import errors
from ..._page import report
from .. import get_cache
from .hubspot_api import Answer, NoAnswer

SECONDS = 60
"""From each renewal on: longer than a call of HubSpot's API can take."""
AGAIN = 5
"""Seconds after which a job that finds the lease taken looks again."""


class NotYet(Exception):
    """The job has to wait for another one of the user's, and told HubSpot nothing."""


class Lease:
    """Of one user; made by `take`."""

    def __init__(self, key: Any, token: int) -> None:
        self._key = key
        self._token = token
        self._calling = False

    @classmethod
    def take(cls, key: Any) -> Optional[Lease]:
        """None: another job has it."""
        token = get_cache().lease(key, SECONDS)
        return None if token is None else cls(key, token)

    def during(self, call: Callable[[], Answer]) -> Answer:
        """Runs a call that writes to HubSpot. If nobody knows what came of it (its answer never came, the thread
        was killed), it may arrive yet, and must not meet the next job's: then the lease is left to run out. Raises
        `NotYet`: the lease has ended, so HubSpot is not called. """
        if get_cache().lease(self._key, SECONDS, renew=self._token) is None:
            raise NotYet("the job was too slow: HubSpot was not told, for another job may be at it")
        self._calling = True
        try:
            answer = call()
        except NoAnswer:
            raise
        except Exception:
            self._calling = False  # It was not sent.
            raise
        self._calling = False
        return answer

    def release(self) -> None:
        """Lets the user's next job go on."""
        if self._calling:
            return
        try:
            get_cache().release(self._key, self._token)
        except errors.VidcacheError as error:
            report("a lease was not released, so the user's next job waits until it ends", error)
