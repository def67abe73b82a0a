"""What the cache does, called as an app calls it."""

import copy
import dataclasses
import gc
import hashlib
import json
import os
import pickle
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import vidcache
from conftest import ANSWER, PORTAL, SECRET


def test_from_the_answer_to_the_page_and_through_a_change(cache):
    recorded = cache.record(42, ANSWER)
    assert recorded == vidcache.Recorded(vid=901, canonical=True, created=recorded.created, email_observed=True)
    decision = cache.decide(42, " Ann@Shop.test ")
    assert (decision.email, decision.id, decision.reason, decision.agreed) == ("ann@shop.test", 901, "agreed", True)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps([decision], protocol)
    assert copy.deepcopy([decision]) == [copy.copy(decision)]
    assert "ann@shop.test" in cache.snippet(42, "ann@shop.test", nonce="r4nd0m")
    change = cache.begin_email_change(42)
    assert cache.is_change_outstanding(42, change)
    assert 0 <= time.time_ns() // 1_000_000 - cache.change_outstanding_since(42, change) < 60_000
    assert cache.decide(42, "ann@home.test").reason == "change_outstanding"
    answer = {"id": "901", "properties": {"email": "ann@home.test"}, "updatedAt": "2026-03-01T11:00:00.000Z"}
    cache.record(42, answer, change=change)
    assert not cache.is_change_outstanding(42, change)
    assert cache.change_outstanding_since(42, change) is None
    assert cache.decide_many([(42, "ann@home.test"), (43, None)]) == [
        vidcache.Decision("ann@home.test", 901, "agreed"),
        vidcache.Decision(None, None, "not_linked"),
    ]
    assert "ann" not in repr(cache.decide(42, "ann@home.test"))
    assert cache.verify() == []


def test_a_page_of_the_app_s_own_gets_the_same_as_data(cache):
    cache.record(42, ANSWER)
    data = cache.page_data(42, "ann@shop.test")
    assert data == {"at": data["at"], "ttl": 10_000, "id": "vid:901", "email": "ann@shop.test"}
    assert cache.anonymous_page_data().keys() == {"at", "ttl"}
    assert cache.signed_out_page_data()["out"] is True
    assert '"out":true' in cache.signed_out_snippet(nonce="r4nd0m") and "ann@" not in cache.signed_out_snippet()


def test_conflicts_refusals_and_whose_a_contact_is(cache):
    conflict = {"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 902"}
    cache.record(42, ANSWER)
    cache.link(43, 902)
    with pytest.raises(vidcache.ContactConflict):
        cache.record(42, conflict)
    (found,) = cache.conflicts()
    assert found == vidcache.Conflict("42", 901, 902, "email_held", found.since_ms)
    assert 0 <= time.time_ns() // 1_000_000 - found.since_ms < 60_000
    assert (cache.conflicts(after=42), cache.conflicts(limit=0)) == ([], [])
    cache.end_conflict(42)
    assert cache.conflicts() == []
    cache.link_shared(43, 901)
    assert sorted(cache.users_of(901)) == ["42", "43"]
    cache.doubt_all()
    assert cache.decide(42, "ann@shop.test").reason == "email_unconfirmed"
    erased = [{"portalId": PORTAL, "occurredAt": 1, "subscriptionType": "contact.privacyDeletion", "objectId": 901}]
    cache.apply_webhook(json.dumps(erased).encode())
    assert (cache.refusal(42), cache.refusal(44)) == ("privacy_deletion", None)
    for wrong in (lambda: cache.users_of(0), lambda: cache.users_of("901")):
        with pytest.raises(vidcache.InvalidVid):
            wrong()
    for wrong in (lambda: cache.conflicts(after=""), lambda: cache.end_conflict(""), lambda: cache.refusal("")):
        with pytest.raises(vidcache.InvalidUserKey):
            wrong()


def test_the_quiet_period_is_that_of_the_longest_page_deadline(cache, path):
    assert cache.quiet_period() == 15.0
    with vidcache.Cache(path, PORTAL, secret=SECRET, page_deadline=20.5) as other:
        assert other.quiet_period() == 25.5
    assert cache.quiet_period() == 25.5


def test_a_user_is_an_int_its_text_or_a_uuid(cache):
    key = uuid.uuid4()
    cache.link(42, 1)
    cache.link(key, 2)
    cache.link("Zoë", 3)
    assert [cache.resolve(user) for user in (42, "42", key, str(key), "Zoë", 43, "x")] == [1, 1, 2, 2, 3, None, None]
    assert cache.resolve_many([42, 43]) == [1, None]
    assert cache.resolve_many(iter(["42", key, 42, "nobody"])) == [1, 2, 1, None]
    assert cache.resolve_many([]) == []
    assert cache.identity(42) == vidcache.Identity(1, 1)


def test_memory_answers_and_hears_of_what_others_write(cache, path):
    cache.link(42, 1)
    cache.resolve(42)
    before = cache.stats()
    for _ in range(100):
        cache.resolve(42)
    assert cache.stats().hits >= before.hits + 100 and cache.stats().misses == before.misses
    with vidcache.Cache(path, PORTAL, secret=SECRET) as other:
        other.link(42, 2)
        assert cache.resolve(42) == 2


def test_all_that_is_said_of_contacts(cache):
    cache.record(42, ANSWER)
    found = cache.observe({"results": [json.loads(ANSWER)]})
    assert found.contacts == (901,) and found.missing == ()
    event = {
        "eventId": 1, "portalId": PORTAL, "subscriptionType": "contact.propertyChange", "objectId": 901,
        "propertyName": "email", "propertyValue": "ann@home.test", "occurredAt": 1793000000000,
    }  # fmt: skip
    body = json.dumps([event])
    assert cache.apply_webhook(body) == vidcache.WebhookReport(applied=1, repeated=0, ignored=0)
    assert cache.apply_webhook(body.encode()).repeated == 1
    with pytest.raises(vidcache.InvalidWebhook):
        cache.apply_webhook("{}")
    assert cache.decide(42, "ann@home.test").agreed
    with pytest.raises(vidcache.VidTaken) as taken:
        cache.link(43, 901)
    assert taken.value.vid == 901 and pickle.loads(pickle.dumps(taken.value)).vid == 901
    cache.link_shared(43, 901)
    assert cache.explain(42, "ann@home.test").sentences
    assert json.loads(cache.export(42))
    assert cache.forget(42) and not cache.forget(42)
    with pytest.raises(vidcache.ContactConflict):
        cache.record(42, {"status": "error", "category": "CONFLICT", "message": "Contact already exists. Existing ID: 7"})


def test_a_secret_that_is_rotated_costs_nothing(path):
    second = "the second secret of the app"
    with vidcache.Cache(path, PORTAL, secret=SECRET) as before:
        before.record(42, ANSWER)
        with vidcache.Cache(path, PORTAL, secret=second, old_secrets=[b"one that never was one", SECRET]) as after:
            assert after.decide(42, "ann@shop.test").agreed and before.decide(42, "ann@shop.test").agreed
    with vidcache.Cache(path, PORTAL, secret=second) as cache:
        assert cache.decide(42, "ann@shop.test").agreed
    with pytest.raises(vidcache.WrongSecret, match="give the one before as an old secret"):
        vidcache.Cache(path, PORTAL, secret=SECRET)
    for wrong, error in (
        (SECRET, vidcache.InvalidOption),
        (None, vidcache.InvalidOption),
        ([5], vidcache.InvalidSecret),
        ([None], vidcache.InvalidSecret),
        (["short"], vidcache.InvalidSecret),
    ):
        with pytest.raises(error):
            vidcache.Cache(path, PORTAL, secret=second, old_secrets=wrong)
    with pytest.raises(vidcache.InvalidOption):
        vidcache.Cache(path, PORTAL, old_secrets=[second])


def test_signatures():
    given = {
        "method": "POST",
        "uri": "https://www.example.com/webhook_uri",
        "body": b"{'example_field':'example_value'}",
        "headers": {
            "x-hubspot-SIGNATURE-v3": "RnbPH7+UMKVkbV32P8bz450N4M56aPmcru1+D3kSDtw=",
            "X-HubSpot-Request-Timestamp": "1700000300000",
        },
    }
    secret = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
    vidcache.verify_signature(secret, now_ms=1700000300000, **given)
    for wrong in ({"now_ms": 1700000900000}, {"body": b""}, {"headers": {}}):
        with pytest.raises(vidcache.InvalidSignature):
            vidcache.verify_signature(secret, **{"now_ms": 1700000300000, **given, **wrong})
    for wrong in ({"now_ms": "x"}, {"body": "text"}, {"headers": None}, {"headers": {1: 2}}, {"method": None}):
        with pytest.raises(vidcache.InvalidOption):
            vidcache.verify_signature(secret, **{**given, **wrong})
    for wrong in ("", None, 7):
        with pytest.raises(vidcache.InvalidOption):
            vidcache.verify_signature(wrong, **given)


def test_an_older_signature_counts_only_where_it_is_listed_and_for_a_day():
    secret, then, day = "a client secret of an app", 1564113600000, 86_400_000
    body = b'[{"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","objectId":123}]'
    address = "https://www.example.com/in"
    v1 = hashlib.sha256(secret.encode() + body).hexdigest()
    v2 = hashlib.sha256(f"{secret}POST{address}".encode() + body).hexdigest()

    def taken(signature, version, now_ms, **listed):
        headers = {"X-HubSpot-Signature": signature, "X-HubSpot-Signature-Version": version}
        try:
            vidcache.verify_signature(
                secret, method="POST", uri=address, body=body, headers=headers, now_ms=now_ms, **listed
            )
        except vidcache.InvalidSignature:
            return False
        return True

    for signature, version, flag, other in ((v1, "v1", "take_v1", "take_v2"), (v2, "v2", "take_v2", "take_v1")):
        assert not taken(signature, version, then) and not taken(signature, version, then, **{other: True})
        assert taken(signature, version, then + day, **{flag: True})
        assert not taken(signature, version, then + 2 * day, **{flag: True})


CALLS = [
    lambda cache: cache.resolve(42),
    lambda cache: cache.resolve("x"),
    lambda cache: cache.identity(42),
    lambda cache: cache.resolve_many([42]),
    lambda cache: cache.resolve_many(["x"]),
    lambda cache: cache.decide(42, None),
    lambda cache: cache.decide_many([(42, None)]),
    lambda cache: cache.snippet(42, None),
    lambda cache: cache.page_data(42, None),
    lambda cache: cache.quiet_period(),
    lambda cache: cache.link(42, 1),
    lambda cache: cache.link_shared(42, 1),
    lambda cache: cache.record(42, ANSWER),
    lambda cache: cache.observe(ANSWER),
    lambda cache: cache.import_users([vidcache.ImportRow(1, 1)]),
    lambda cache: cache.begin_email_change(42),
    lambda cache: cache.abandon_email_change(42, 1),
    lambda cache: cache.is_change_outstanding(42, 1),
    lambda cache: cache.change_outstanding_since(42, 1),
    lambda cache: cache.lease(42, 60),
    lambda cache: cache.release(42, 1),
    lambda cache: cache.stale_changes(older_than=0),
    lambda cache: cache.explain(42, None),
    lambda cache: cache.forget(42),
    lambda cache: cache.export(42),
    lambda cache: cache.verify(),
]


def test_after_close_every_call_says_so(path):
    with vidcache.Cache(path, PORTAL) as cache:
        cache.link(42, 1)
        cache.link("x", 2)
        assert cache.resolve_many([42, "x"]) == [1, 2]
    cache.close()
    for call in CALLS:
        with pytest.raises(vidcache.Closed):
            call(cache)
    assert cache.portal_id == PORTAL and cache.anonymous_snippet() and cache.signed_out_snippet()
    assert cache.anonymous_page_data() and cache.signed_out_page_data()


def test_values_are_frozen_and_a_cache_is_not_copied(cache):
    with pytest.raises(dataclasses.FrozenInstanceError):
        cache.decide(42, None).email = "x"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(cache)


def test_move_aside(path):
    path.write_text("something else" * 100)
    with pytest.raises(vidcache.NotACache):
        vidcache.Cache(path, PORTAL)
    assert os.path.exists(vidcache.move_aside(path)) and not path.exists()
    vidcache.Cache(path, PORTAL).close()
    with pytest.raises(vidcache.CannotOpen):
        vidcache.move_aside(path.parent / "nothing")


def test_a_backup_is_put_back_while_nobody_has_the_file_open(path):
    backup = path.with_name("backup")
    with vidcache.Cache(path, PORTAL) as cache:
        cache.link(42, 901)
        cache.backup(backup)
        with pytest.raises(vidcache.CannotOpen):
            cache.backup(backup)
        with pytest.raises(vidcache.Busy):
            vidcache.restore(backup, path)
    assert os.path.exists(vidcache.restore(backup, path))
    assert vidcache.restore(backup, path.with_name("other")) is None
    with vidcache.Cache(path, PORTAL) as cache:
        assert cache.resolve(42) == 901


def test_threads_share_one(cache):
    cache.link(42, 1)

    def write():
        for number in range(300):
            assert cache.resolve(42) == 1
            if number != 42:
                cache.link(number, number + 1000)

    def read():
        assert all(cache.resolve(42) == 1 for _ in range(10_000))

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write), *(pool.submit(read) for _ in range(3))]:
            done.result()


def test_a_forked_child_reads_and_writes_and_hears_of_it(cache):
    cache.link(1, 11)
    assert cache.resolve(1) == 11
    child = os.fork()
    if child == 0:
        try:
            assert cache.resolve(1) == 11
            cache.link(2, 22)
            os._exit(0 if cache.resolve_many([1, 2]) == [11, 22] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cache.resolve(2) == 22


def test_one_that_is_let_go_closes_its_file(path):
    cache = vidcache.Cache(path, PORTAL)
    with pytest.raises(vidcache.Busy):
        vidcache.move_aside(path)
    del cache
    gc.collect()
    vidcache.move_aside(path)


def test_one_job_of_a_user_has_the_lease(cache):
    token = cache.lease(42, 60)
    assert token is not None and token > 0
    assert cache.lease("42", 60) is None
    assert cache.lease(42, 0.5, renew=token) == token
    for junk in (0, -1, 2**70, "x", 1.5, token ^ 1):
        assert cache.lease(42, 60, renew=junk) is None
        assert cache.release(42, junk) is False
    assert cache.release(42, token) is True
    assert cache.release(42, token) is False
    for wrong in (0, -1, 3601, float("nan"), "60"):
        with pytest.raises(vidcache.InvalidOption):
            cache.lease(42, wrong)
