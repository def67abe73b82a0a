"""Bad input of Python's types: an error of the library's, and nothing is lost by it."""

import datetime
import decimal

import pytest
import vidcache
from conftest import ANSWER, PORTAL, SECRET

USERS = ["", "x" * 256, "é" * 128, "a\0b", "\ud800", 2**63, -(2**63) - 1, True, None, 1.0, b"x", [], object(), float("nan")]
EMAILS = ["", "ann", "@", "a\nb@c", "a\ud800@b", b"a@b", 7, True, [], "a" * 300 + "@b"]
VIDS = [0, -1, 2**63, "1", None, 1.0, True, decimal.Decimal(1)]


def text(value):
    return repr(value)[:30]


@pytest.mark.parametrize("user", USERS, ids=text)
def test_users(cache, user):
    cache.link(1, 11)
    for call in (
        lambda: cache.resolve(user),
        lambda: cache.identity(user),
        lambda: cache.resolve_many([user]),
        lambda: cache.resolve_many([1, user]),
        lambda: cache.resolve_many(["x", user]),
        lambda: cache.decide(user, None),
        lambda: cache.decide_many([(1, None), (user, None)]),
        lambda: cache.snippet(user, None),
        lambda: cache.page_data(user, None),
        lambda: cache.link(user, 1),
        lambda: cache.link_shared(user, 1),
        lambda: cache.record(user, ANSWER),
        lambda: cache.import_users([vidcache.ImportRow(2, 2), vidcache.ImportRow(user, 3)]),
        lambda: cache.begin_email_change(user),
        lambda: cache.abandon_email_change(user, 1),
        lambda: cache.is_change_outstanding(user, 1),
        lambda: cache.change_outstanding_since(user, 1),
        lambda: cache.lease(user, 60),
        lambda: cache.release(user, 1),
        lambda: cache.explain(user, None),
        lambda: cache.forget(user),
        lambda: cache.export(user),
    ):
        with pytest.raises(vidcache.InvalidUserKey):
            call()
    assert cache.resolve_many([1, 2]) == [11, None] and cache.verify() == []


@pytest.mark.parametrize("email", EMAILS, ids=text)
def test_emails(cache, email):
    for call in (
        lambda: cache.decide(1, email),
        lambda: cache.decide_many([(1, email)]),
        lambda: cache.snippet(1, email),
        lambda: cache.page_data(1, email),
        lambda: cache.explain(1, email),
        lambda: cache.import_users([vidcache.ImportRow(1, 1, email)]),
    ):
        with pytest.raises(vidcache.InvalidEmail) as failure:
            call()
        assert len(str(email)) < 4 or str(email) not in str(failure.value)


@pytest.mark.parametrize("vid", VIDS, ids=text)
def test_vids(cache, vid):
    for call in (cache.link, cache.link_shared, lambda user, vid: cache.import_users([vidcache.ImportRow(user, vid)])):
        with pytest.raises(vidcache.InvalidVid):
            call(1, vid)
    assert cache.resolve(1) is None


@pytest.mark.parametrize("change", [0, -1, 2**63, "1", 1.0, True, 12345], ids=text)
def test_changes(cache, change):
    with pytest.raises(vidcache.UnknownChange):
        cache.record(1, ANSWER, change=change)
    with pytest.raises(vidcache.UnknownChange):
        cache.abandon_email_change(1, change)
    with pytest.raises(vidcache.UnknownChange):
        cache.is_change_outstanding(1, change)
    with pytest.raises(vidcache.UnknownChange):
        cache.change_outstanding_since(1, change)
    assert cache.resolve(1) is None


@pytest.mark.parametrize("answer", [b"\xff", "{", None, 7, {"x": object()}, {1: {2}}, "\ud800", "[" * 10_000], ids=text)
def test_answers(cache, answer):
    with pytest.raises(vidcache.InvalidAnswer):
        cache.record(1, answer)
    with pytest.raises(vidcache.InvalidAnswer):
        cache.observe(answer)
    with pytest.raises(vidcache.InvalidWebhook):
        cache.apply_webhook(answer)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("InvalidPortal", {"portal_id": portal}) for portal in (0, -1, 2**63, "1", None, 1.0, True)
    ]
    + [("InvalidSecret", {"secret": secret}) for secret in (b"", "short", 7, [], "\ud800" * 9)]
    + [("CannotOpen", {"path": path}) for path in (None, 7, "", "a\0b", "/nowhere/at/all", "\ud800")]
    + [
        ("InvalidOption", option)
        for option in (
            {"busy_timeout": -1}, {"busy_timeout": float("nan")}, {"busy_timeout": 1e300}, {"busy_timeout": "5"},
            {"busy_timeout": 3601}, {"page_deadline": 0}, {"page_deadline": datetime.timedelta(1)}, {"memory": -1},
            {"memory": 1.5}, {"memory": 2**64}, {"loader_host": "a b"}, {"loader_host": 7}, {"durable": "yes"},
        )
    ],
    ids=text,
)  # fmt: skip
def test_opening(path, kind, options):
    given = {"path": path, "portal_id": PORTAL, "secret": SECRET, **options}
    with pytest.raises(getattr(vidcache, kind)):
        vidcache.Cache(given.pop("path"), given.pop("portal_id"), **given)


def test_other_arguments(cache):
    for call in (
        lambda: cache.snippet(1, None, nonce=7),
        lambda: cache.anonymous_snippet(nonce=b"x"),
        lambda: cache.signed_out_snippet(nonce=7),
        lambda: cache.stale_changes(older_than=-1),
        lambda: cache.stale_changes(older_than=0, limit=2**32),
        lambda: cache.stale_changes(older_than=0, limit="1"),
        lambda: cache.resolve_many(7),
        lambda: cache.resolve_many("12"),
        lambda: cache.decide_many([1]),
        lambda: cache.decide_many([(1,)]),
        lambda: cache.import_users([(1, 2)]),
        lambda: cache.import_users([vidcache.ImportRow(1, 1, None, 2**63)]),
    ):
        with pytest.raises(vidcache.InvalidOption):
            call()
