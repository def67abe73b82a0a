"""Reads contacts from HubSpot, a hundred a call, and takes in what it says of them. To read tells HubSpot nothing,
so no page has to be waited for. """

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Optional

from .. import errors
from ..values import Observed
from . import get_cache
from .contact_job import hubspot_api
from .contact_job.hubspot_api import Answer

BATCH = 100
"""What HubSpot reads in one call."""
ATTEMPTS = 5
"""How often a call is tried that HubSpot answers with 429."""
PAUSE = 10
"""Seconds to wait where HubSpot says nothing of it, the longest of its short limits."""
TOO_LONG = 60
"""Seconds that are too long to wait here."""


class ContactReader:
    """`calls`: how many were made. `rate`: the most calls a second."""

    def __init__(self, rate: float = 5) -> None:
        self._least = 1.0 / rate
        self._next_at = 0.0
        self.calls = 0

    def read(self, vids: list[int]) -> dict[int, list[str]]:
        """The emails of the contacts that are there, in lower case: not to be kept. At most `BATCH` ids.

        Raises `RateLimited` (for longer than a minute), `HubspotError`, OSError, ImproperlyConfigured.
        """
        observed, results = self._take(lambda: hubspot_api.read_batch([str(vid) for vid in vids]))
        found = {int(contact["id"]): _emails(contact) for contact in results}
        # An id that HubSpot leaves out without a word was merged into another, which a GET follows.
        for vid in set(vids) - set(observed.contacts) - set(observed.missing):
            contact = self._read_one(vid)
            if contact is not None:
                found[vid] = _emails(contact)
        return found

    def read_by_email(self, emails: list[str]) -> dict[str, int]:
        """Which contacts have the emails (at most `BATCH`, in lower case), whether as their first or another one.
        Raises as `read`. """
        try:
            _, results = self._take(lambda: hubspot_api.read_batch(emails, by_email=True))
        except errors.Refused:
            # HubSpot takes no email of that form, and refuses them all for one.
            if len(emails) == 1:
                return {}
            return {email: vid for one in emails for email, vid in self.read_by_email([one]).items()}
        return {email: int(contact["id"]) for contact in results for email in _emails(contact)}

    def _read_one(self, vid: int) -> Optional[dict[str, Any]]:
        try:
            return self._take(lambda: hubspot_api.read(vid))[1][0]
        except errors.ContactMissing:
            # HubSpot's words name no id: said as a batch says it, so that it is kept of which.
            gone = {"category": "OBJECT_NOT_FOUND", "context": {"ids": [str(vid)]}}
            said = {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [gone]}
            get_cache().observe(json.dumps(said), asked_at_ms=time.time_ns() // 1_000_000)
            return None

    def _take(self, call: Callable[[], Answer]) -> tuple[Observed, list[dict[str, Any]]]:
        attempts = 0
        while True:
            self._wait_for_turn()
            asked_at_ms = time.time_ns() // 1_000_000
            try:
                self.calls += 1
                answer = call()
                observed = answer.take(lambda body: get_cache().observe(body, asked_at_ms=asked_at_ms))  # noqa: B023
            except errors.RateLimited as error:
                pause = PAUSE if error.retry_after is None else error.retry_after
                attempts += 1
                if attempts >= ATTEMPTS or pause > TOO_LONG:
                    raise
                time.sleep(pause)
                continue
            found = answer.json()
            return observed, found.get("results", [found])

    def _wait_for_turn(self) -> None:
        now = time.monotonic()
        if self._next_at > now:
            time.sleep(self._next_at - now)
        self._next_at = max(self._next_at, now) + self._least


def _emails(contact: dict[str, Any]) -> list[str]:
    properties = contact.get("properties") or {}
    found = [properties.get("email"), *str(properties.get("hs_additional_emails") or "").split(";")]
    return [email.strip().lower() for email in found if email]
