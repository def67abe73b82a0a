"""For the tests of an app on Django, with pytest: in its `conftest.py`

    from vidcache.testing import *

Each test that asks for `hubspot` has a cache of its own, in which HubSpot holds what the test says, and a queue
that waits:

    def test_a_page(client, hubspot, user):
        hubspot.confirm(user)
        assert hubspot.emails(client.get("/").content) == [user.email]
        user.email = "new@example.test"
        user.save()
        assert hubspot.emails(client.get("/").content) == []
        assert hubspot.jobs == 1

Within Django's TestCase, and pytest-django's `db`, nothing commits: jobs are counted where the test is a
TransactionTestCase (`transactional_db`) or within `django_capture_on_commit_callbacks(execute=True)`. """

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional, Union

import pytest
from django.conf import settings

from . import django as of_django
from .cache import Cache
from .django import declaration

__all__ = ["Hubspot", "hubspot"]

PORTAL = 62515

# Quoted in any way, in what the library puts on a page or sends as data, and in a script of anybody else's.
_EMAIL = re.compile(r"""["']?email["']?\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')""")


class Hubspot:
    """`cache`: the test's own. `payloads`: what was enqueued."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.payloads: list[dict[str, Any]] = []
        self._next_vid = 900

    @property
    def jobs(self) -> int:
        """How many jobs were enqueued."""
        return len(self.payloads)

    def confirm(self, user: Any, email: Optional[str] = None) -> None:
        """Says that HubSpot holds this email for the user, the model's own if None, as if it had just answered so:
        that ends the user's changes. """
        declared = declaration.declaration_of(user)
        if declared is None:
            raise LookupError(f"{user.__class__.__name__} is no model with has_vid")
        key = declared.user_key(user)
        vid = self.cache.resolve(key)
        if vid is None:
            self._next_vid += 1
            vid = self._next_vid
        time.sleep(0.002)  # The clock of the file counts milliseconds.
        now = time.time_ns() // 1_000_000
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1000)) + f".{now % 1000:03}Z"
        answer = json.dumps({"id": str(vid), "properties": {"email": email or declared.email_of(user)}, "updatedAt": at})
        for change in self.cache.stale_changes(older_than=0, limit=2**32 - 1):
            if change.user == str(key):
                self.cache.record(key, answer, change=change.token)
        self.cache.record(key, answer)

    @staticmethod
    def emails(page: Union[bytes, str]) -> list[str]:
        """The emails that a page names to HubSpot, or its data does."""
        text = page.decode() if isinstance(page, bytes) else page
        scripts = re.findall(r"<script\b[^>]*>(.*?)</script>", text, re.IGNORECASE | re.DOTALL)
        found = [one or two for script in scripts or [text] for one, two in _EMAIL.findall(script)]
        return list(dict.fromkeys(json.loads(f'"{email}"').strip().lower() for email in found))


@pytest.fixture
def hubspot(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hubspot]:
    """What a test says of HubSpot, and what the app tells it."""
    with tempfile.TemporaryDirectory(prefix="vidcache-test-") as folder:
        path = str(Path(folder) / "hubspot.vidcache")
        with Cache(path, PORTAL, secret="a secret of the tests'", durable=False) as cache:
            found = Hubspot(cache)
            given = getattr(settings, "VIDCACHE", None)
            of_test = {"path": path, "portal_id": PORTAL, "store": "file", "queue": lambda payload, wait: found.payloads.append(payload)}
            monkeypatch.setattr(settings, "VIDCACHE", {**(given or {}), **of_test}, raising=False)
            monkeypatch.setattr(of_django, "_cache", cache)
            yield found
