"""What the tests share: a cache of a test's own."""

import pytest
import vidcache

PORTAL = 62515
SECRET = "thirty-two bytes kept out of it."
ANSWER = b'{"id":"901","properties":{"email":"ann@shop.test"},"updatedAt":"2026-03-01T10:00:00.000Z"}'


@pytest.fixture
def path(tmp_path):
    return tmp_path / "hubspot.vidcache"


@pytest.fixture
def cache(path):
    with vidcache.Cache(path, PORTAL, secret=SECRET) as opened:
        yield opened
