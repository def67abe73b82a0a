"""The contact job in the queues that Django's apps have: the real Celery and the real RQ, with a Redis of the
tests' own."""

import json
import shutil
import time

import pytest

import django_shop
from django_shop.portal import configure, double, perform_next, wait_for_the_clock
from django_shop.servers import start_redis, until
from django.contrib.auth import get_user_model
from django.db import connection
from vidcache.django import contact_job, get_cache, queue

User = get_user_model()
LIMIT = 60


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    if shutil.which("redis-server") is None:
        pytest.skip("skipped because redis-server is not installed")
    redis = pytest.importorskip("redis", reason="skipped because Redis' client is not installed")
    server, url = start_redis(tmp_path_factory.mktemp("redis"))
    until(redis.Redis.from_url(url).ping, redis.ConnectionError)
    yield url
    server.terminate()
    server.wait()


@pytest.fixture
def portal(double, monkeypatch, tmp_path):
    double.reset()
    configure(monkeypatch, api_url=double.url, path=tmp_path / "hubspot.vidcache")
    get_cache()
    monkeypatch.setattr(queue, "quiet_period", lambda: 1.5)
    yield double
    for user in User.objects.all():
        user.delete()
    django_shop.QUEUE.clear()


@pytest.fixture
def celery_app():
    celery = pytest.importorskip("celery", reason="skipped because Celery is not installed")
    app = celery.Celery("shop", set_as_current=True)
    app.conf.worker_hijack_root_logger = False
    app.autodiscover_tasks(["vidcache.django"], force=True)
    yield app
    app.close()


def test_celery_tells_hubspot_after_the_quiet_period(portal, celery_app, redis_url, monkeypatch):
    from celery.contrib.testing.worker import start_worker

    celery_app.conf.update(broker_url=redis_url, task_ignore_result=True, broker_connection_retry_on_startup=True)
    configure(monkeypatch, queue="vidcache.django.celery.enqueue")
    with start_worker(celery_app, pool="solo", perform_ping_check=False, loglevel="WARNING", shutdown_timeout=LIMIT):
        user = User.objects.create(username="ann", email="ann@shop.test")
        until(lambda: get_cache().resolve(user.pk))
        began = time.monotonic()
        wait_for_the_clock()
        user.email = "new@shop.test"
        user.save()
        assert get_cache().decide(user.pk, user.email).reason == "change_outstanding"
        until(lambda: get_cache().decide(user.pk, user.email).agreed)
    assert time.monotonic() - began >= 1.4 and portal.emails() == ["new@shop.test"]


def test_celery_that_runs_tasks_at_once_does_what_can_be_done_and_ends(portal, celery_app, monkeypatch, caplog):
    celery_app.conf.task_always_eager = True
    configure(monkeypatch, queue="vidcache.django.celery.enqueue")
    user = User.objects.create(username="ann", email="ann@shop.test")
    assert get_cache().decide(user.pk, user.email).agreed
    user.email = "new@shop.test"
    user.save()
    assert get_cache().decide(user.pk, user.email).reason == "change_outstanding"
    assert "task_always_eager" in caplog.text and "@" not in caplog.text and portal.emails() == ["ann@shop.test"]


def test_rq_tells_hubspot_after_the_quiet_period(portal, redis_url, monkeypatch):
    redis = pytest.importorskip("redis")
    rq = pytest.importorskip("rq", reason="skipped because RQ is not installed")
    from rq.scheduler import RQScheduler

    server = redis.Redis.from_url(redis_url)
    jobs = rq.Queue("hubspot", connection=server)
    configure(monkeypatch, queue="vidcache.django.rq.enqueue", rq_queue=lambda: jobs)

    def work():
        scheduler = RQScheduler([jobs], connection=server)
        scheduler.acquire_locks()
        scheduler.enqueue_scheduled_jobs()
        scheduler.release_locks()
        rq.SimpleWorker([jobs], connection=server).work(burst=True)
        return get_cache().decide(user.pk, user.email).agreed

    user = User.objects.create(username="ann", email="ann@shop.test")
    assert work()
    began = time.monotonic()
    wait_for_the_clock()
    user.email = "new@shop.test"
    user.save()
    assert get_cache().decide(user.pk, user.email).reason == "change_outstanding"
    until(work)
    assert time.monotonic() - began >= 1.4 and portal.emails() == ["new@shop.test"]


def test_nothing_that_a_queue_is_given_names_an_email(portal):
    user = User.objects.create(username="ann", email="ann@shop.test")
    user.email = "new@shop.test"
    user.save()
    assert "shop.test" not in json.dumps(django_shop.QUEUE)
    assert all(len(json.dumps(job)) < 1000 for job, _ in django_shop.QUEUE)


def test_a_try_that_a_queue_hands_out_early_waits(portal, monkeypatch):
    user = User.objects.create(username="ann", email="ann@shop.test")
    configure(monkeypatch, api_url="http://127.0.0.1:9")
    again = perform_next()
    assert again.wait == 3 and again.payload["at"] > 0
    payload = {**again.payload, "at": time.time() + 1000}
    early = contact_job.perform(payload)
    assert early.payload == payload and 900 < early.wait <= 1000
    assert get_cache().resolve(user.pk) is None
    connection.close()
