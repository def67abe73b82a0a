"""The contact job against HubSpot's double: a person has one contact, whatever was lost and whatever HubSpot says."""

import datetime
import json
import os
import socket
import threading

import pytest
import vidcache

import django_shop
from django_shop import QUEUE
from django_shop.models import Member
from django_shop.portal import configure, double, drain, perform_next, signed_up, wait_for_the_clock
from django.contrib.auth import get_user_model
from django.core.management import call_command
from vidcache.django import contact_job, get_cache, queue
from vidcache.django.contact_job import creating, hubspot_api
from vidcache.django.contact_job.lease import Lease
from vidcache.django.contact_job.memory import Memory

User = get_user_model()


@pytest.fixture
def portal(double, monkeypatch, tmp_path):
    double.reset()
    configure(monkeypatch, api_url=double.url, path=tmp_path / "hubspot.vidcache")
    get_cache()  # The file is older than the rows.
    monkeypatch.setattr(queue, "quiet_period", lambda: 0.0)
    QUEUE.clear()
    yield double
    QUEUE.clear()
    for model in (User, Member):
        for user in model.objects.all():
            user.delete()


def of_old(email):
    """A user of before the app had this library: HubSpot may have them, the file does not."""
    user = User(username=email, email=email, date_joined=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
    user.save()
    QUEUE.clear()
    return user


def change(user, email):
    user.email = email
    user.save()


def reason(user):
    return get_cache().decide(user.pk, user.email).reason


def linked(user):
    return get_cache().resolve(user.pk)


def test_a_sign_up_makes_a_contact_and_a_change_tells_of_it(portal):
    user = signed_up()
    assert portal.emails() == ["ann@shop.test"] and reason(user) == "agreed"
    change(user, "new@shop.test")
    assert reason(user) == "change_outstanding"
    drain()
    assert portal.emails() == ["new@shop.test"] and reason(user) == "agreed"


def test_whose_contact_was_erased_is_made_none_again(portal):
    user = signed_up()
    vid = linked(user)
    event = {"portalId": get_cache().portal_id, "occurredAt": 1, "subscriptionType": "contact.privacyDeletion", "objectId": vid}
    get_cache().apply_webhook(json.dumps([event]).encode())
    known = portal.emails()
    change(user, "new@shop.test")
    drain()
    call_command("vidcache_reconcile", "--create", verbosity=0)
    drain()
    assert portal.emails() == known and linked(user) is None
    wait_for_the_clock()
    assert get_cache().stale_changes(older_than=0) == []
    get_cache().forget(user.pk)
    change(user, "newest@shop.test")
    drain()
    assert "newest@shop.test" in portal.emails() and reason(user) == "agreed"


def test_e1_e2_e1_names_nobody_before_both_jobs_are_done(portal):
    user = signed_up()
    change(user, "new@shop.test")
    change(user, "ann@shop.test")
    QUEUE.reverse()
    perform_next()
    assert reason(user) == "change_outstanding"
    drain()
    assert portal.emails() == ["ann@shop.test"] and reason(user) == "agreed"


def test_a_job_comes_too_early_and_waits(portal, monkeypatch):
    user = signed_up()
    change(user, "new@shop.test")
    monkeypatch.setattr(queue, "quiet_period", lambda: 1000.0)
    again = perform_next()
    assert 900 < again.wait <= 1000 and again.payload["tries"] == 0 and portal.emails() == ["ann@shop.test"]


def test_a_job_that_comes_twice_tells_nothing(portal):
    user = signed_up()
    change(user, "new@shop.test")
    twice = list(QUEUE)
    drain()
    portal.update(linked(user), "by-hand@shop.test")
    QUEUE.extend(twice)
    drain()
    assert portal.emails() == ["by-hand@shop.test"]


def test_one_job_of_a_user_at_a_time(portal):
    user = signed_up()
    change(user, "new@shop.test")
    held = Lease.take(user.pk)
    again = perform_next()
    assert again.wait == 5 and again.payload["tries"] == 0 and portal.emails() == ["ann@shop.test"]
    held.release()
    drain()
    assert reason(user) == "agreed"


def test_a_user_whom_hubspot_knows_by_the_email_before_is_found_by_it(portal):
    vid = portal.add("old@shop.test")
    user = of_old("old@shop.test")
    change(user, "new@shop.test")
    assert "old@" not in json.dumps(QUEUE) and "shop.test" not in json.dumps(QUEUE)
    drain()
    assert (portal.emails(), linked(user), reason(user)) == (["new@shop.test"], vid, "agreed")


def test_what_a_job_keeps_is_the_users_and_is_read_after_a_rotation(portal, monkeypatch, caplog):
    user = signed_up()
    change(user, "new@shop.test")
    kept = QUEUE[0][0]["kept"]
    assert Memory.open(kept, user.pk).formerly == ["ann@shop.test"]
    assert Memory.open(kept, user.pk + 1).formerly == [] and Memory.open(kept, user.pk + 1).creates is False
    configure(monkeypatch, secret="t" * 32, old_secrets=[django_shop.SECRET])
    assert Memory.open(kept, user.pk).formerly == ["ann@shop.test"]
    configure(monkeypatch, secret="t" * 32, old_secrets=[])
    assert Memory.open(kept, user.pk).formerly == [] and "no old secret was given" in caplog.text


def test_a_contact_that_came_back_through_a_form_is_found(portal):
    user = signed_up()
    portal.delete(linked(user))
    form = portal.add("ann@shop.test")
    change(user, "new@shop.test")
    drain()
    assert (portal.emails(), linked(user), reason(user)) == (["new@shop.test"], form, "agreed")


def test_a_contact_that_was_merged_away_is_followed(portal):
    user = signed_up()
    merged = portal.merge(linked(user), portal.add("other@shop.test"))
    change(user, "new@shop.test")
    drain()
    assert (portal.emails(), linked(user)) == (["new@shop.test"], merged)


def test_a_404_that_passes_makes_no_contact(portal):
    user = signed_up()
    vid = linked(user)
    change(user, "new@shop.test")
    portal.answer_with(404, 404, 404, 404)
    drain()
    assert (portal.emails(), linked(user)) == (["new@shop.test"], vid)


def test_only_a_second_look_that_finds_nobody_makes_a_contact(portal):
    user = signed_up()
    portal.delete(linked(user))
    change(user, "new@shop.test")
    again = perform_next()
    assert portal.emails() == [] and again.wait > 1
    drain()
    assert portal.emails() == ["new@shop.test"] and reason(user) == "agreed"


def test_a_sign_up_whose_answer_was_lost_is_found_by_the_email_that_was_put_right(portal):
    user = User.objects.create(username="ann", email="ann@tpyo.test")
    portal.lose()
    perform_next()
    change(user, "ann@typo.test")
    drain()
    assert portal.emails() == ["ann@typo.test"] and reason(user) == "agreed"


def test_a_new_user_whom_hubspot_has_is_linked_and_nothing_is_told(portal, monkeypatch):
    called, call = [], hubspot_api.call
    monkeypatch.setattr(hubspot_api, "call", lambda *of: called.append(f"{of[0]} {of[1].split('/contacts')[1]}") or call(*of))
    vid = portal.add("ann@shop.test")
    user = signed_up()
    assert called == ["POST ", "POST /batch/read"], "no email stands in an address, which tracers and logs keep"
    assert (linked(user), portal.emails(), reason(user)) == (vid, ["ann@shop.test"], "agreed")


@pytest.mark.parametrize("form", ["409", "400"])
def test_an_email_that_another_contact_holds_ends_the_change_with_the_last_try(portal, form, caplog):
    portal.ask("PUT", "/_double/config", {"v3_conflict": form})
    user = signed_up()
    portal.add("held@shop.test")
    change(user, "held@shop.test")
    drain()
    assert portal.emails() == ["ann@shop.test", "held@shop.test"] and reason(user) == "email_differs"
    assert "another contact holds the email" in caplog.text and "@" not in caplog.text


def test_the_other_contact_lets_go_and_the_change_is_told(portal):
    user = signed_up()
    other = portal.add("held@shop.test")
    change(user, "held@shop.test")
    perform_next()
    portal.update(other, "free@shop.test")
    drain()
    assert portal.emails() == ["free@shop.test", "held@shop.test"] and reason(user) == "agreed"


def test_what_hubspot_refuses_for_good_ends_the_change_once(portal):
    user = signed_up()
    change(user, "ann@invalid")
    tries = drain()
    assert tries == 1 and portal.emails() == ["ann@shop.test"] and reason(user) != "change_outstanding"


def test_a_limit_is_tried_again_when_it_says(portal):
    user = signed_up()
    change(user, "new@shop.test")
    portal.answer_with({"status": 503, "retry_after": "77"})
    assert perform_next().wait == 77
    drain()
    assert reason(user) == "agreed"


def test_whatever_fails_is_tried_ten_times_and_the_change_stays_outstanding(portal, monkeypatch):
    user = signed_up()
    change(user, "new@shop.test")
    configure(monkeypatch, api_url="http://127.0.0.1:9")
    waits = [perform_next().wait for _ in range(contact_job.ATTEMPTS - 1)]
    assert waits[:3] == [3, 18, 83] and 3600 < sum(waits) < 5 * 3600
    with pytest.raises(hubspot_api.Unsent):
        perform_next()
    assert reason(user) == "change_outstanding" and QUEUE == []


def test_a_call_whose_answer_never_came_leaves_the_lease_to_run_out(portal, monkeypatch):
    user = signed_up()
    change(user, "new@shop.test")
    server = socket.create_server(("127.0.0.1", 0))

    def hang_up():
        connection, _ = server.accept()
        connection.recv(1)
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    configure(monkeypatch, api_url=f"http://127.0.0.1:{server.getsockname()[1]}")
    perform_next()
    thread.join()
    server.close()
    assert Lease.take(user.pk) is None


def test_a_row_that_goes_while_hubspot_is_asked_is_recorded_for_nobody(portal, monkeypatch):
    user = User.objects.create(username="ann", email="ann@shop.test")
    create = hubspot_api.create

    def gone(email):
        User.objects.all().delete()
        return create(email)

    monkeypatch.setattr(hubspot_api, "create", gone)
    pk = user.pk
    drain()
    assert get_cache().resolve(pk) is None


def test_a_job_of_another_row_of_that_key_does_nothing(portal, caplog):
    user = User.objects.create(username="ann", email="ann@shop.test")
    job = QUEUE[0][0]
    job["row_at"] -= 3600
    drain()
    assert portal.emails() == [] and linked(user) is None and "another row's now" in caplog.text


def test_a_change_that_the_file_does_not_know_is_begun_anew_and_makes_no_contact(portal, monkeypatch):
    user = of_old("ann@shop.test")
    change(user, "new@shop.test")
    QUEUE[0][0]["change"] = 77
    again = perform_next()
    assert 3600 < again.wait < 3700 and get_cache().is_change_outstanding(user.pk, again.payload["change"])
    monkeypatch.setattr(Memory, "not_before", property(lambda _: 0.0, lambda *_: None), raising=False)
    for old in [one for one in json.loads(get_cache().export(user.pk))["changes"] if one["token"] != again.payload["change"]]:
        get_cache().abandon_email_change(user.pk, old["token"])
    drain()
    assert portal.emails() == [] and get_cache().is_change_outstanding(user.pk, again.payload["change"])


def test_who_may_be_known_under_a_lost_email_gets_no_contact_but_by_the_apps_word(portal, caplog):
    user = of_old("ann@shop.test")
    change(user, "new@shop.test")
    drain()
    assert portal.emails() == [], "of a row that is older than the file something may have gone with another one"
    declared = contact_job.named("auth.User")
    (token,) = [one["token"] for one in json.loads(get_cache().export(user.pk))["changes"]]
    QUEUE.append((queue.payload(declared, user, change=token, creates=False), 0))
    drain()
    assert portal.emails() == [] and "--create" in caplog.text and get_cache().is_change_outstanding(user.pk, token)
    QUEUE.append((queue.payload(declared, user, change=token, creates=True), 0))
    drain()
    assert portal.emails() == ["new@shop.test"] and reason(user) == "agreed"


def test_two_changes_of_a_user_wait_for_the_one_that_knows_the_first_email(portal):
    portal.add("one@shop.test")
    user = User.objects.create(username="one", email="one@shop.test")
    QUEUE.clear()
    change(user, "two@shop.test")
    change(user, "three@shop.test")
    first = QUEUE.pop(0)
    for _ in range(4):
        perform_next()
    assert portal.emails() == ["one@shop.test"], "it knows the second email only, and goes after the other"
    QUEUE.append(first)
    drain()
    assert portal.emails() == ["three@shop.test"] and reason(user) == "agreed"


def test_an_email_that_may_not_be_used_is_told_to_nobody(portal):
    member = Member.objects.create(mail="meg@shop.test", confirmed=True)
    Member.objects.update(confirmed=False)
    drain()
    assert portal.emails() == []
    Member.objects.update(confirmed=True)
    drain()
    member.refresh_from_db()
    assert portal.emails() == ["meg@shop.test"]
    assert get_cache().decide(f"member-{member.pk}", "meg@shop.test").agreed
    member.mail, member.confirmed = "mag@shop.test", False
    member.save()
    assert len(QUEUE) == 1
    drain()
    assert portal.emails() == ["meg@shop.test"], "nor is the former address taken away"


def test_a_contact_of_the_apps_own_field_is_linked_and_written_back(portal):
    vid = portal.add("elsewhere@shop.test")
    member = Member.objects.create(mail="meg@shop.test", confirmed=True, hubspot_vid=vid)
    drain()
    # The person has a contact, under another email: none is made, and a job without a change tells nothing.
    assert portal.emails() == ["elsewhere@shop.test"] and get_cache().resolve(f"member-{member.pk}") == vid
    member.mail = "mag@shop.test"
    member.save()
    drain()
    assert portal.emails() == ["mag@shop.test"]
    other = Member.objects.create(mail="new@shop.test", confirmed=True)
    drain()
    other.refresh_from_db()
    assert other.hubspot_vid == get_cache().resolve(f"member-{other.pk}")


def test_a_contact_of_the_apps_own_field_that_is_another_users_makes_none(portal, caplog):
    user = signed_up()
    Member.objects.create(mail="meg@shop.test", confirmed=True, hubspot_vid=linked(user))
    drain()
    assert portal.emails() == ["ann@shop.test"] and "the app says is theirs" in caplog.text


def test_the_time_at_which_a_file_was_made(tmp_path):
    born = creating.born_at(tmp_path)
    if born is None:
        pytest.skip("skipped because this file system does not say when a file was made")
    assert abs(born - os.stat(tmp_path).st_mtime) < 60
    assert creating.born_at(tmp_path / "none") is None
