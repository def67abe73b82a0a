"""The direct way beside UniFFI: it answers, and says the same. conformance_test.py replays its cases by both."""

import itertools
import os
import re
import threading
import uuid
from contextlib import contextmanager

import pytest
import vidcache
from conftest import ANSWER, PORTAL, SECRET, by_uniffi_alone

UUID = uuid.UUID("6f1c3ad4-5b7e-4a21-9d0e-2f6b8c1a7e55")
USERS = [42, "42", 0, -7, 2**63 - 1, -(2**63), "Zoë", UUID, str(UUID), "x" * 255, "nobody"]
EMAILS = [None, "ann@shop.test", " Ann@Shop.TEST ", "zoë@shop.test", "</script>'&@x.test", "ann@home.test", "a" * 252 + "@b"]
NONCES = [None, "", "r4nd0m", '"><script>', "é" * 40]
# Beside the types that it knows, so the other way answers.
OTHERS = [type("Int", (int,), {})(42), type("Text", (str,), {})("42")]


@pytest.fixture
def filled(cache):
    cache.record(42, ANSWER)
    cache.import_users([vidcache.ImportRow("Zoë", 7, "zoë@shop.test", 1), vidcache.ImportRow(UUID, 8, "</script>'&@x.test", 1)])
    cache.import_users([vidcache.ImportRow("x" * 255, 2**63 - 1, "a" * 252 + "@b", 1)])
    cache.link_shared(-7, 901)
    return cache


@contextmanager
def no_uniffi(cache):
    # Kept meanwhile: without it there is no cache.
    kept, cache._core = cache._core, None
    try:
        yield kept
    finally:
        cache._core = kept


def timeless(found):
    return re.sub(r'"at":\d+|id="v-\d+"', "", found) if isinstance(found, str) else found


def calls(cache):
    for user, email in itertools.product(USERS, EMAILS):
        yield lambda user=user: cache.resolve(user)
        yield lambda user=user, email=email: cache.decide(user, email)
        yield lambda user=user, email=email: cache.decide_many([(user, email)])
        for nonce in NONCES:
            yield lambda user=user, email=email, nonce=nonce: cache.snippet(user, email, nonce=nonce)
    for nonce in NONCES:
        yield lambda nonce=nonce: cache.anonymous_snippet(nonce=nonce)


def test_both_ways_say_the_same(filled, monkeypatch):
    reasons = set()
    for call in calls(filled):
        found = call()
        with monkeypatch.context() as patch:
            by_uniffi_alone(patch)
            assert timeless(found) == timeless(call())
        if isinstance(found, vidcache.Decision):
            reasons.add(found.reason)
    assert reasons >= {"agreed", "email_differs", "email_absent", "not_linked"}


def test_what_is_in_memory_does_not_go_through_uniffi(filled):
    for call in calls(filled):
        call()
    with no_uniffi(filled):
        assert filled.decide(42, "ann@shop.test").agreed
        for call in calls(filled):
            call()
        for other in OTHERS:
            with pytest.raises(AttributeError):
                filled.resolve(other)
        with pytest.raises(AttributeError):
            filled.snippet(42, None, nonce="x" * 4096)


def test_other_classes_of_ints_and_texts_are_users_too(filled):
    for other in OTHERS:
        assert filled.resolve(other) == 901 and filled.decide(other, "ann@shop.test").agreed
    assert len(filled.snippet(42, None, nonce="x" * 4096)) > 2 * 4096


def test_it_knows_of_a_change_at_once(filled, path):
    assert filled.decide(42, "ann@shop.test").agreed
    with vidcache.Cache(path, PORTAL, secret=SECRET) as other:
        change = other.begin_email_change(42)
        with no_uniffi(filled):
            assert filled.decide(42, "ann@shop.test").reason == "change_outstanding"
            assert "ann@" not in filled.snippet(42, "ann@shop.test")
        other.abandon_email_change(42, change)
    assert filled.decide(42, "ann@shop.test").agreed


def test_a_forked_child_has_it_too(filled):
    filled.decide(42, "ann@shop.test")
    child = os.fork()
    if child == 0:
        try:
            with no_uniffi(filled) as core:
                right = filled.decide(42, "ann@shop.test").agreed and '"vid:901"' in filled.snippet(42, None)
                core.link("43", 43)
                os._exit(0 if right and filled.resolve(43) == 43 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with no_uniffi(filled):
        assert filled.resolve(43) == 43


def test_a_close_in_the_middle_is_an_answer_or_closed(tmp_path):
    for turn in range(20):
        cache = vidcache.Cache(tmp_path / str(turn), PORTAL, secret=SECRET)
        cache.record(42, ANSWER)
        ended, begun = [], [threading.Event() for _ in range(3)]

        def ask(cache=cache, ended=ended, begun=begun, number=0):
            try:
                while True:
                    assert cache.resolve(42) == 901
                    assert cache.decide(42, "ann@shop.test").agreed
                    assert "ann@shop.test" in cache.snippet(42, "ann@shop.test")
                    begun[number].set()
            except BaseException as error:
                ended.append(type(error))

        threads = [threading.Thread(target=ask, kwargs={"number": number}) for number in range(3)]
        for thread in threads:
            thread.start()
        for one in begun:
            assert one.wait(60)
        cache.close()
        for thread in threads:
            thread.join()
        assert ended == [vidcache.Closed] * 3
