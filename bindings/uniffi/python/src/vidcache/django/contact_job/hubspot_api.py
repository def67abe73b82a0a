"""How the job and the reader speak with HubSpot: its v3 API, with VIDCACHE's "access_token"."""

from __future__ import annotations

import http.client
import json
import math
import socket
import threading
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Optional, TypeVar
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from ... import errors
from .. import settings

Result = TypeVar("Result")

TIMEOUT = 10
"""Seconds, for connecting and for each read."""
CALL = 30
"""Seconds, for a whole call."""
DAY = 86_400.0
"""Seconds. HubSpot waits for no longer."""
PROPERTIES = ("email", "hs_merged_object_ids", "hs_additional_emails")
"""What is asked for by name of a contact, since HubSpot leaves it out otherwise: of the second a merge is learnt
whose webhook was lost."""
_WAIT = (423, 477, 503)


class Unsent(OSError):
    """The call did not reach HubSpot: nobody answers at its address."""


class NoAnswer(OSError):
    """The call was sent and nobody knows what came of it."""


@dataclass(frozen=True)
class Answer:
    """What HubSpot answered. Not in the repr: its body, with emails."""

    status: int
    headers: Any = field(repr=False)
    body: bytes = field(repr=False)

    def take(self, read: Callable[[bytes], Result]) -> Result:
        """`read` of the body, if the answer is a success or an error in HubSpot's own words, which says more than
        its status.

        Raises as `read`, and `ContactConflict`, `RateLimited`, `HubspotError` by the status.
        """
        if 200 <= self.status < 300:
            return read(self.body)
        seconds = self._retry_after() if self.status == 429 or self.status in _WAIT else None
        if seconds is not None:
            raise errors.RateLimited("HubSpot asks to wait", retry_after=seconds)
        if self._in_hubspots_words():
            try:
                read(self.body)
            except (errors.InvalidAnswer, errors.AnswerWithoutId, errors.HubspotError):
                pass  # The status says more.
        if self.status == 409:
            raise errors.ContactConflict("HubSpot refused: another contact holds that email already")
        if self.status == 429:
            raise errors.RateLimited("HubSpot asks to wait")
        raise errors.HubspotError(f"HubSpot answered with {self.status}")

    @property
    def names_nobody(self) -> bool:
        """Whether it is a batch's, of contacts none of which is there."""
        return self.status in (200, 207) and self.json().get("results") == []

    def json(self) -> dict[str, Any]:
        """The body, or {} where it is no object."""
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _in_hubspots_words(self) -> bool:
        return self.json().get("status") == "error"

    def _retry_after(self) -> Optional[float]:
        value = self.headers.get("Retry-After") if self.headers is not None else None
        if value is None:
            return None
        try:
            seconds = float(value)
        except ValueError:
            try:
                seconds = max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
            except (TypeError, ValueError):
                return None
        return min(seconds, DAY) if math.isfinite(seconds) and seconds >= 0 else None


def update(vid: int, email: Optional[str]) -> Answer:
    """Tells HubSpot of a contact's email."""
    return call("PATCH", f"{_path()}/{vid}", {"properties": {"email": email}})


def create(email: str) -> Answer:
    """Makes a contact."""
    return call("POST", _path(), {"properties": {"email": email}})


def read(vid: int) -> Answer:
    """Reads a contact, following merges."""
    return call("GET", f"{_path()}/{vid}?properties={','.join(PROPERTIES)}")


def read_by_email(email: str) -> Answer:
    """Reads the contact that has the email, whether as its first or another one. By a batch of one, since an address
    with an email in it ends up in whatever keeps addresses: a tracer, a proxy's log."""
    return read_batch([email], by_email=True)


def read_batch(ids: list[str], *, by_email: bool = False) -> Answer:
    """Reads up to a hundred contacts."""
    body: dict[str, Any] = {"inputs": [{"id": one} for one in ids], "properties": list(PROPERTIES)}
    if by_email:
        body["idProperty"] = "email"
    return call("POST", f"{_path()}/batch/read", body)


def _path() -> str:
    return str(settings.given("api_path") or "/crm/v3/objects/contacts").rstrip("/")


def call(method: str, path: str, body: Optional[dict[str, Any]] = None) -> Answer:
    """One call. Raises `Unsent`, `NoAnswer`; ImproperlyConfigured without a token."""
    token = settings.access_token()
    if token is None:
        raise ImproperlyConfigured('VIDCACHE has no "access_token": nobody can ask or tell HubSpot')
    address = urlsplit(str(settings.given("api_url") or "https://api.hubapi.com"))
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=TIMEOUT)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.connect()
    except OSError as error:
        raise Unsent(f"HubSpot cannot be reached: {type(error).__name__}") from None
    # An answer that trickles in keeps to each of the timeouts: a call that takes too long is cut off.
    clock = threading.Timer(CALL, _cut_off, (connection.sock,))
    clock.daemon = True
    clock.start()
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException) as error:
        # Not its words: they may quote what was sent.
        raise NoAnswer(f"HubSpot did not answer: {type(error).__name__}") from None
    finally:
        clock.cancel()
        connection.close()


def _cut_off(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
