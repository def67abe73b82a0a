"""What the tests share: a cache of a test's own."""

import os

import pytest
import vidcache
from vidcache import _direct

PORTAL = 62515
# For a run with the rows in the project's own database: tests/run.
collect_ignore = [] if os.environ.get("VIDCACHE_STORE") == "database" else ["django_database_test.py"]
SECRET = "thirty-two bytes kept out of it."
ANSWER = b'{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hubspot.vidcache"


@pytest.fixture
def cache(path):
    with vidcache.Cache(path, PORTAL, secret=SECRET) as opened:
        yield opened


def by_uniffi_alone(patch):
    """As if the direct way answered nothing; `patch` is pytest's."""
    patch.setattr(_direct, "resolve", lambda *_: _direct.ASK)
    for name in ("decide", "snippet", "anonymous_snippet"):
        patch.setattr(_direct, name, lambda *_: None)
