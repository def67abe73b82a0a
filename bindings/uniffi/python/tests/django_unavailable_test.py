"""What becomes of a save while the file cannot be opened: VIDCACHE's `when_unavailable` (ADR 20)."""

import json
import logging
import time
from contextlib import contextmanager

import pytest
import vidcache

import vidcache.django
from django_shop import QUEUE
from django_shop.portal import configure, double, drain, perform_next, signed_up
from django.contrib.auth import get_user_model
from django.db import transaction
from vidcache.django import contact_job, failure, get_cache, queue
from vidcache.django.checks import check

User = get_user_model()


@pytest.fixture
def file(double, monkeypatch, tmp_path):
    """The file's path, of an app that saves without it."""
    double.reset()
    path = tmp_path / "hubspot.vidcache"
    configure(monkeypatch, api_url=double.url, path=path, when_unavailable="save")
    get_cache()
    monkeypatch.setattr(queue, "quiet_period", lambda: 0.0)
    failure.clear()
    QUEUE.clear()
    yield path
    QUEUE.clear()
    for user in User.objects.all():
        user.delete()


@contextmanager
def without(path):
    """The file is not there, and something else is."""
    away = path.parent / "away"
    away.mkdir(exist_ok=True)
    close()
    for found in path.parent.glob("hubspot.vidcache*"):
        found.rename(away / found.name)
    path.mkdir()
    try:
        yield
    finally:
        path.rmdir()
        for found in away.iterdir():
            found.rename(path.parent / found.name)
        close()


def close():
    if vidcache.django._cache is not None:
        vidcache.django._cache.close()
    vidcache.django._cache = None


def change(user, email):
    user.email = email
    user.save()


def reason(user):
    return get_cache().decide(user.pk, user.email).reason


def outstanding():
    time.sleep(0.003)
    return [one.token for one in get_cache().stale_changes(older_than=0)]


def drain_in_an_hour(monkeypatch):
    now = time.time
    with monkeypatch.context() as patch:
        patch.setattr(contact_job.time, "time", lambda: now() + 3700)
        drain()


def test_a_save_raises_unless_the_app_or_debug_says_otherwise(file, monkeypatch):
    user = signed_up()
    configure(monkeypatch, when_unavailable=None)
    with without(file):
        with pytest.raises(vidcache.CannotOpen):
            change(user, "new@shop.test")
        with pytest.raises(vidcache.CannotOpen):
            User.objects.create(username="eve", email="eve@shop.test")
        user.refresh_from_db()
        user.first_name = "Ann"
        user.save()
        assert [one.email for one in User.objects.all()] == ["ann@shop.test"] and QUEUE == []
        monkeypatch.setattr(vidcache.django.settings.settings, "DEBUG", True)
        change(user, "new@shop.test")
    assert [one.email for one in User.objects.all()] == ["new@shop.test"] and len(QUEUE) == 1
    configure(monkeypatch, when_unavailable="ignore")
    assert "vidcache.E011" in [problem.id for problem in check()]


def test_a_change_that_was_saved_without_the_file_is_begun_by_its_job_once_the_file_is_back(file, double, monkeypatch, caplog):
    user = signed_up()
    vid = get_cache().resolve(user.pk)
    with without(file), caplog.at_level(logging.ERROR, "vidcache"):
        with transaction.atomic():
            change(user, "new@shop.test")
            assert QUEUE == []
        # More often than any other job is tried, and never longer apart than that.
        waits = [perform_next().wait for _ in range(12)]
        assert max(waits) == contact_job.SELDOM
    assert len(QUEUE) == 1 and "shop.test" not in json.dumps(QUEUE) + caplog.text
    assert caplog.text.count("a user was saved without the file") == 1
    assert reason(user) == "email_differs" and double.emails() == ["ann@shop.test"]

    perform_next()
    assert reason(user) == "change_outstanding" and len(outstanding()) == 1
    assert double.emails() == ["ann@shop.test"], "HubSpot is not told yet"
    job, _ = QUEUE[0]
    assert 3600 < job["at"] - time.time() <= 3605
    drain_in_an_hour(monkeypatch)
    assert double.emails() == ["new@shop.test"] and reason(user) == "agreed" and get_cache().resolve(user.pk) == vid


def test_a_change_back_and_a_change_that_the_file_knows_end_right(file, double, monkeypatch):
    user = signed_up()
    with without(file):
        change(user, "new@shop.test")
    change(user, "ann@shop.test")
    perform_next()
    perform_next()
    assert len(outstanding()) == 1, "the change that was not begun waits for an hour"
    drain_in_an_hour(monkeypatch)
    assert double.emails() == ["ann@shop.test"] and reason(user) == "agreed" and outstanding() == []


def test_a_rollback_leaves_nothing(file):
    user = signed_up()
    with without(file), pytest.raises(ZeroDivisionError), transaction.atomic():
        change(user, "new@shop.test")
        1 / 0
    assert QUEUE == []


def test_a_sign_up_without_the_file_is_linked_later_and_nothing_that_is_known_since_is_forgotten(file, double):
    with without(file):
        user = User.objects.create(username="ann", email="ann@shop.test")
    vid = double.add("ann@shop.test")
    time.sleep(0.003)
    get_cache().link(user.pk, vid)
    drain()
    assert double.emails() == ["ann@shop.test"] and get_cache().resolve(user.pk) == vid


def test_a_row_that_was_made_without_the_file_takes_nothing_over_from_who_had_its_key(file, double, caplog):
    former = signed_up()
    vid = get_cache().resolve(former.pk)
    User.objects.filter(pk=former.pk)._raw_delete("default")
    with without(file):
        user = User.objects.create(pk=former.pk, username="eve", email="eve@shop.test")
    drain()
    assert get_cache().resolve(user.pk) not in (None, vid)
    assert double.emails() == ["ann@shop.test", "eve@shop.test"] and reason(user) == "agreed"
    assert "whose key the file knew of another user" in caplog.text


def test_what_is_not_of_the_file_raises_all_the_same(file, monkeypatch):
    user = signed_up()
    monkeypatch.setattr(vidcache.django.declaration.Declaration, "user_key", lambda *_: "")
    with pytest.raises(vidcache.InvalidUserKey):
        change(user, "new@shop.test")
