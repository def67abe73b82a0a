"""An app that adopts vidcache by halves is refused; what a webhook tells is taken in; what was lost is found again."""

import base64
import hashlib
import hmac
import io
import json
import os
import re
import time

import pytest

import django_shop
from django_shop import QUEUE
from django_shop.models import Member
from django_shop.portal import configure, double, drain, perform_next, signed_up, wait_for_the_clock
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from vidcache.django import declaration, failure, get_cache, queue, reconcile
from vidcache.django.checks import check_deployed

User = get_user_model()
URL = "https://shop.test/hubspot/webhooks"
CLIENT_SECRET = "a client's secret"


@pytest.fixture
def portal(double, monkeypatch, tmp_path):
    double.reset()
    configure(
        monkeypatch, api_url=double.url, path=tmp_path / "hubspot.vidcache", client_secret=CLIENT_SECRET, webhook_url=URL
    )
    get_cache()
    failure.clear()
    monkeypatch.setattr(queue, "quiet_period", lambda: 0.0)
    monkeypatch.setattr(reconcile, "GONE_AGAIN", 0.0)
    monkeypatch.setattr(reconcile, "_soon", 0.0)
    QUEUE.clear()
    yield double
    for model in (User, Member):
        for user in model.objects.all():
            user.delete()
    QUEUE.clear()


def reason(user):
    return get_cache().decide(user.pk, user.email).reason


def said(*command, **options):
    out = io.StringIO()
    call_command(*command, stdout=out, **options)
    return out.getvalue()


def ids(found):
    return [problem.id for problem in found]


def test_an_app_that_is_whole_passes(portal):
    assert ids(checks.run_checks()) == [] and ids(check_deployed()) == []


def test_pages_whose_changes_nobody_begins_are_refused(portal, monkeypatch):
    monkeypatch.setattr(declaration, "_declared", {})
    (problem,) = checks.run_checks()
    assert problem.id == "vidcache.E004" and "auth.User has no has_vid" in problem.msg
    monkeypatch.setattr(declaration, "_declared", {Member: declaration.Declaration(Member, "mail", "pk", "m-", None, None, True)})
    assert ids(checks.run_checks()) == ["vidcache.E004"]
    configure(monkeypatch, user=lambda request: None)
    assert ids(checks.run_checks()) == []


@pytest.mark.parametrize("wrong", [None, "nobody.knows.this", "django_shop.PORTAL"])
def test_changes_of_which_nobody_tells_are_refused(portal, monkeypatch, wrong):
    configure(monkeypatch, queue=wrong)
    assert ids(checks.run_checks()) == ["vidcache.E005"]


def test_what_production_lacks_is_refused(portal, monkeypatch):
    for wrong, code in (
        ({"access_token": None}, "E007"), ({"access_token": "to ken"}, "E007"), ({"client_secret": " "}, "E008"),
        ({"webhook_url": None}, "E009"), ({"webhook_url": "http://shop.test/x"}, "E009"), ({"webhook_url": "/x"}, "E009"),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            configure(patch, **wrong)
            assert ids(check_deployed()) == [f"vidcache.{code}"] and ids(checks.run_checks()) == []


@pytest.mark.parametrize(
    ("address", "says"),
    [
        *((odd, "has no scheme") for odd in ("shop.test/in", "//shop.test/in", "/in", "ftp://shop.test/in")),
        *((odd, "has a blank") for odd in ("https://shop.test/in out", "https://shop.test/in\nx", "https://shöp.test/in")),
        *((odd, "has a user or a password") for odd in ("https://ann:guess-0001@shop.test/in", "https://token@shop.test/in")),
        *((odd, "names no host") for odd in ("https:///in", "https://:443/in", "https://shop,test/in")),
        *((odd, "has no path") for odd in ("https://shop.test", "https://shop.test/", "https://shop.test?token=1")),
        ("https://shop.test/in#top", "has a fragment"),
        ("http://shop.test/in", "is not https"),
        *((good, None) for good in (None, " https://shop.test/in \n", "https://shop.test/in?token=1", "https://[::1]:8443/in")),
    ],
)
def test_an_odd_webhook_url_is_refused_at_boot_and_not_repeated(portal, monkeypatch, address, says):
    configure(monkeypatch, webhook_url=address)
    ready = apps.get_app_config("vidcache").ready
    if says is None:
        ready()
        return
    with pytest.raises(ImproperlyConfigured, match=rf'^VIDCACHE\["webhook_url"\] {says}') as raised:
        ready()
    assert not re.search("guess-0001|token|shop", str(raised.value))


def test_celery_that_runs_tasks_at_once_is_refused_in_production(portal, monkeypatch):
    celery = pytest.importorskip("celery", reason="skipped because Celery is not installed")
    app = celery.Celery("shop", set_as_current=True)
    app.conf.task_always_eager = True
    configure(monkeypatch, queue="vidcache.django.celery.enqueue")
    assert ids(check_deployed()) == ["vidcache.E010"]
    app.close()


def test_a_file_that_cannot_be_written_is_refused(portal, monkeypatch):
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: real(path, mode) and not str(path).endswith(".vidcache"))
    assert ids(checks.run_checks()) == ["vidcache.E002"]


def test_the_command_says_what_is_wrong_and_of_hubspots_token(portal, monkeypatch):
    found = said("vidcache_check")
    assert "WRONG" not in found and "HubSpot takes the access token" in found and "auth.User.email are begun" in found
    configure(monkeypatch, api_url="http://127.0.0.1:9", client_secret=None)
    out = io.StringIO()
    with pytest.raises(CommandError, match="2 things"):
        call_command("vidcache_check", stdout=out)
    assert out.getvalue().count("WRONG") == 2 and "HubSpot cannot be reached" in out.getvalue()


def deliver(events, url=URL, secret=CLIENT_SECRET, **more):
    body = json.dumps(events).encode()
    at = str(int(time.time() * 1000))
    digest = hmac.new(secret.encode(), b"POST" + url.encode() + body + at.encode(), hashlib.sha256).digest()
    headers = {"HTTP_X_HUBSPOT_SIGNATURE_V3": base64.b64encode(digest).decode(), "HTTP_X_HUBSPOT_REQUEST_TIMESTAMP": at}
    # As a browser's form would be refused: the view is no form's.
    client = Client(enforce_csrf_checks=True)
    return client.generic("POST", "/hubspot/webhooks", body, "application/json", **headers, **more)


def event(kind, vid, **more):
    return {
        "eventId": 1, "portalId": django_shop.PORTAL, "subscriptionType": kind, "objectId": vid,
        "occurredAt": int(time.time() * 1000), **more,
    }  # fmt: skip


def test_a_webhook_is_taken_in_and_what_it_leaves_doubtful_is_read(portal):
    user = signed_up()
    vid = get_cache().resolve(user.pk)
    answer = deliver([event("contact.propertyChange", vid, propertyName="email", propertyValue="hand@shop.test")])
    assert answer.status_code == 204 and reason(user) == "email_differs" and QUEUE == []
    # A merge leaves nothing of what was known, and no webhook says which email the contact holds.
    other = portal.add("other@shop.test")
    portal.merge(vid, other)
    found = portal.ask("GET", "/_double/state")["contacts"][0]
    merged = event("contact.merge", vid, primaryObjectId=vid, mergedObjectIds=[other], newObjectId=found["vid"])
    assert deliver([merged]).status_code == 204
    assert [(job.get("read"), wait) for job, wait in QUEUE] == [(True, reconcile.SOON)]
    assert deliver([merged]).status_code == 204 and len(QUEUE) == 1


def test_a_webhook_that_hubspot_did_not_sign_for_this_address_is_refused_and_reported_seldom(portal, caplog, monkeypatch):
    gone = [event("contact.deletion", 901)]
    for _ in range(3):
        assert deliver(gone, secret="another").status_code == 401
    assert caplog.text.count("answered with 401") == 1
    assert deliver(gone, url="https://staging.test/hubspot/webhooks", HTTP_HOST="staging.test").status_code == 401
    assert deliver("nonsense").status_code == 400
    assert Client().get("/hubspot/webhooks").status_code == 405
    assert Client().generic("POST", "/hubspot/webhooks", b"x" * ((1 << 20) + 1)).status_code == 413
    # Without the setting the request says where it was sent, which is for development only.
    configure(monkeypatch, webhook_url=None)
    assert deliver(gone, url="http://shop.test/hubspot/webhooks", HTTP_HOST="shop.test").status_code == 503
    monkeypatch.setattr(settings, "DEBUG", True)
    assert deliver(gone, url="http://shop.test/hubspot/webhooks", HTTP_HOST="shop.test").status_code == 204
    configure(monkeypatch, client_secret=None)
    assert deliver(gone).status_code == 503


def test_reconcile_gives_lost_changes_and_lost_sign_ups_another_job(portal):
    ann, bob = signed_up("ann@shop.test"), User.objects.create(username="bob", email="bob@shop.test")
    QUEUE.clear()
    assert reconcile.Reconcile(grace=0).run()["users"] == 1
    drain()
    wait_for_the_clock()
    assert portal.emails() == ["ann@shop.test", "bob@shop.test"] and reason(bob) == "agreed"
    ann.email = "new@shop.test"
    ann.save()
    QUEUE.clear()
    assert "jobs for 0 changes and 0 users" in said("vidcache_reconcile")
    wait_for_the_clock()
    assert reconcile.Reconcile(grace=0).run()["changes"] == 1
    drain()
    assert portal.emails() == ["bob@shop.test", "new@shop.test"] and reason(ann) == "agreed"


def test_reconcile_reads_whoever_is_unconfirmed(portal):
    user = User.objects.create(username="ann", email="ann@shop.test")
    QUEUE.clear()
    get_cache().link(user.pk, portal.add("ann@shop.test"))
    assert reason(user) == "email_unconfirmed"
    assert reconcile.Reconcile().run()["read"] == 1
    assert reason(user) == "agreed"


def test_reconcile_finds_whose_contact_was_deleted_and_came_back_through_a_form(portal, monkeypatch):
    user = signed_up()
    portal.delete(get_cache().resolve(user.pk))
    deliver([event("contact.deletion", get_cache().resolve(user.pk))])
    form = portal.add("ann@shop.test")
    done = reconcile.Reconcile(rate=1000).run()
    assert done["linked"] == 1 and get_cache().resolve(user.pk) == form
    assert portal.emails() == ["ann@shop.test"]


def test_reconcile_tells_again_of_an_email_that_the_other_contact_has_let_go(portal):
    user = signed_up()
    other = portal.add("held@shop.test")
    user.email = "held@shop.test"
    user.save()
    drain()
    wait_for_the_clock()
    assert reason(user) == "email_differs"
    listed = said("vidcache_conflicts")
    assert f"user {user.pk}, contact {get_cache().resolve(user.pk)}: contact {other} holds their email" in listed
    assert reconcile.Reconcile(rate=1000).run()["conflicts"] == 0 and QUEUE == []
    portal.update(other, "free@shop.test")
    reconcile.Reconcile(rate=1000).run()
    assert reason(user) == "change_outstanding"
    drain()
    assert portal.emails() == ["free@shop.test", "held@shop.test"] and reason(user) == "agreed"
    assert reconcile.Reconcile(rate=1000).run()["conflicts"] == 1
    assert said("vidcache_conflicts") == "0 conflicts\n"


def test_an_old_copy_names_nobody_until_it_is_read_anew(portal):
    user = signed_up()
    assert "no page names an email" in said("vidcache_doubt") and reason(user) == "email_unconfirmed"


def test_backfill_by_jobs_and_by_a_field(portal):
    portal.add("ann@shop.test")
    User(username="ann", email="ann@shop.test").save()
    User(username="bob", email="bob@shop.test").save()
    QUEUE.clear()
    assert said("vidcache_backfill").startswith("2 users are linked to no contact")
    drain()
    assert reason(User.objects.get(username="ann")) == "agreed"
    QUEUE.clear()
    get_cache().forget(User.objects.get(username="ann").pk)
    vid = portal.add("meg@shop.test")
    Member.objects.create(mail="meg@shop.test", confirmed=True, hubspot_vid=vid)
    assert "1 users linked" in said("vidcache_backfill", vid="hubspot_vid", model="django_shop.Member")
    assert get_cache().decide(f"member-{Member.objects.get().pk}", "meg@shop.test").agreed
    with pytest.raises(CommandError, match="has no field nobody"):
        call_command("vidcache_backfill", vid="nobody", model="auth.User")
    with pytest.raises(CommandError, match="say which model"):
        call_command("vidcache_backfill", vid="seen")


def test_explain_answers_by_key_and_by_email(portal):
    user = signed_up()
    member = Member.objects.create(mail="meg@shop.test")
    for who in (str(user.pk), "ANN@shop.test"):
        found = said("vidcache_explain", who)
        assert f"auth.User {user.pk}:" in found and "names the email" in found.lower() and "@" not in found
    assert "may not be used yet" in said("vidcache_explain", f"member-{member.pk}")
    for nobody in ("nobody@shop.test", "77777", "member-x"):
        with pytest.raises(CommandError, match="no model with has_vid"):
            call_command("vidcache_explain", nobody)


def test_a_user_who_is_gone_is_forgotten_by_hand(portal):
    user = signed_up()
    pk = user.pk
    assert said("vidcache_forget", str(pk)) == "forgotten\n" and said("vidcache_forget", str(pk)) == "nothing was held\n"


def test_the_page_asks_the_declaration_who_the_visitor_is(portal):
    from vidcache.django import visitor

    request = RequestFactory().get("/")
    member = Member.objects.create(mail="meg@shop.test")
    member.is_authenticated = True
    request.user = member
    assert visitor(request) == (f"member-{member.pk}", None)
    member.confirmed = True
    assert visitor(request) == (f"member-{member.pk}", "meg@shop.test")
    assert settings.AUTH_USER_MODEL == "auth.User"


def test_what_nobody_can_read_ends_at_once_in_a_queue(portal):
    QUEUE.append(({"read": True, "tries": 0}, 0))
    assert perform_next() is None
