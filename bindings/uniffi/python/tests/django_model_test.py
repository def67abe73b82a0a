"""A change of email is begun before its UPDATE is sent, whoever sends it, and ends with its transaction: the real
Django on real databases."""

import datetime
import json
import threading

import pytest
import vidcache

import django_shop
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, connections, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Lower
from django.db.utils import load_backend
from django.contrib.auth import get_user_model
from django_shop.databases import postgres, tables, using  # noqa: F401
from django_shop.models import Member, Order
from vidcache.django import UnseenEmailChange, get_cache, has_vid, hubspot_email_will_change, hubspot_emails_will_change

User = get_user_model()


@pytest.fixture
def ann(using):
    """A user whom HubSpot has under their email."""
    user = User(username="ann", email="ann@shop.test")
    user.save(using=using)
    confirm(user.pk, user.email)
    django_shop.QUEUE.clear()
    return user


def confirm(key, email):
    vid = get_cache().resolve(key) or 900 + len(str(key)) + django_shop.FOLDER.stat().st_mtime_ns % 10**9 + confirm.count
    confirm.count += 1
    at = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    get_cache().record(key, json.dumps({"id": str(vid), "properties": {"email": email}, "updatedAt": at}))
    assert get_cache().decide(key, email).agreed


confirm.count = 0


def reason(user, email="ann@shop.test"):
    return get_cache().decide(user.pk, email).reason


def jobs():
    return [(job["pk"], job["change"]) for job, _ in django_shop.QUEUE]


def change_of(user):
    """The user's one outstanding change."""
    (change,) = [change for change in json.loads(get_cache().export(user.pk))["changes"] if not change["ended_at"]]
    return change["token"]


WRITES = {
    "save": lambda user, rows: (setattr(user, "email", "ann@home.test"), user.save()),
    "save of the field": lambda user, rows: (setattr(user, "email", "ann@home.test"), user.save(update_fields=["email"])),
    "QuerySet.update": lambda user, rows: rows.filter(username="ann").update(email="ann@home.test"),
    "an expression": lambda user, rows: rows.filter(pk=user.pk).update(email=Concat(Value("x"), F("email"))),
    "update of all": lambda user, rows: rows.update(email="ann@home.test"),
    "a subquery": lambda user, rows: rows.filter(pk__in=rows.filter(username="ann").values("pk")).update(email="ann@home.test"),
    "bulk_update": lambda user, rows: (setattr(user, "email", "ann@home.test"), rows.bulk_update([user], ["email"])),
    "update_or_create": lambda user, rows: rows.update_or_create(username="ann", defaults={"email": "ann@home.test"}),
    "SQL": lambda user, rows: sql(rows.db, "UPDATE auth_user SET email = %s WHERE username = %s", ["ann@home.test", "ann"]),
    "SQL with a literal": lambda user, rows: sql(rows.db, "update auth_user set email = 'WHERE (' where username = 'ann'"),
    "SQL that ends": lambda user, rows: sql(rows.db, "UPDATE auth_user SET email = 'x' WHERE username LIKE 'a%%' AND 1 = %s;", [1]),
    "SQL with a sign": lambda user, rows: sql(rows.db, "UPDATE auth_user SET email = 'x' WHERE username LIKE 'a%' ;"),
    "a fixture": lambda user, rows: fixture(user, rows.db),
}


def sql(using, *statement):
    with connections[using].cursor() as cursor:
        cursor.execute(*statement)


def fixture(user, using):
    user.email = "ann@home.test"
    from django.core import serializers

    for found in serializers.deserialize("json", serializers.serialize("json", [user])):
        found.save(using=using)


@pytest.mark.parametrize("how", WRITES)
def test_every_way_to_write_an_email_begins_a_change_before_it_is_sent(ann, using, how):
    seen = []

    def look(execute, sql, params, many, context):
        if sql.lower().startswith("update auth_user") or sql.startswith('UPDATE "auth_user"'):
            seen.append(reason(ann))
        return execute(sql, params, many, context)

    with connections[using].execute_wrapper(look):
        WRITES[how](ann, User.objects.using(using))
    assert seen == ["change_outstanding"]
    assert User.objects.using(using).get(pk=ann.pk).email != "ann@shop.test"
    assert jobs() == [(str(ann.pk), change_of(ann))]
    # And back: every change counts.
    User.objects.using(using).filter(pk=ann.pk).update(email="ann@shop.test")
    assert reason(ann) == "change_outstanding" and len(jobs()) == 2


@pytest.mark.parametrize("how", WRITES)
def test_a_rollback_abandons_a_savepoints_too(ann, using, how):
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        WRITES[how](ann, User.objects.using(using))
        assert reason(ann) == "change_outstanding"
        1 / 0
    assert reason(ann) == "agreed" and jobs() == []
    ann.refresh_from_db()
    with transaction.atomic(using=using):
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
            WRITES[how](ann, User.objects.using(using))
            1 / 0
        assert reason(ann) == "agreed"
    assert jobs() == []


def test_what_writes_no_email_begins_nothing(ann, using):
    ann.first_name = "Ann"
    ann.save()
    User.objects.using(using).filter(pk=ann.pk).update(last_name="A")
    Order.objects.using(using).create(email="ann@shop.test")
    Order.objects.using(using).update(email="b@shop.test")
    list(User.objects.using(using).filter(email="ann@shop.test"))
    with transaction.atomic(using=using):
        list(User.objects.using(using).select_for_update().filter(email="ann@shop.test"))
    assert reason(ann) == "agreed" and jobs() == []


def test_one_job_for_each_change_after_the_commit_only(ann, using):
    with transaction.atomic(using=using):
        ann.email = "ann@home.test"
        ann.save()
        with transaction.atomic(using=using):
            ann.email = "ann@work.test"
            ann.save(update_fields=["email"])
        assert jobs() == []
    assert len(jobs()) == 2 and all(wait >= get_cache().quiet_period() for _, wait in django_shop.QUEUE)


def test_of_several_saves_a_savepoint_takes_back_its_own(ann, using):
    with transaction.atomic(using=using):
        ann.email = "ann@home.test"
        ann.save()
        kept = change_of(ann)
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
            ann.email = "ann@work.test"
            ann.save()
            1 / 0
    assert jobs() == [(str(ann.pk), kept)] and change_of(ann) == kept


def test_a_hook_of_the_apps_that_raises_takes_no_job_away(ann, using):
    def raises():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        transaction.on_commit(raises, using=using)
        ann.email = "ann@home.test"
        ann.save()
    assert jobs() == [(str(ann.pk), change_of(ann))]


def test_a_commit_that_nobody_knows_the_end_of_leaves_the_change_and_its_job(ann, using, monkeypatch):
    connected = connections[using]
    commit = connected._commit

    def breaks():
        commit()
        raise DatabaseError("the connection broke")

    monkeypatch.setattr(connected, "_commit", breaks)
    with pytest.raises(DatabaseError), transaction.atomic(using=using):
        ann.email = "ann@home.test"
        ann.save()
    monkeypatch.undo()
    assert reason(ann) == "change_outstanding" and jobs() == [(str(ann.pk), change_of(ann))]


def test_an_update_that_fails_abandons(ann, using):
    other = User(username="bob", email="bob@shop.test")
    other.save(using=using)
    django_shop.QUEUE.clear()
    ann.email, ann.username = "ann@home.test", "bob"
    with pytest.raises(DatabaseError):
        ann.save()
    assert reason(ann) == "agreed" and jobs() == []


def test_where_no_change_can_be_begun_no_email_is_written(ann, using, monkeypatch):
    def busy(*_, **__):
        raise vidcache.Busy("busy")

    monkeypatch.setattr(type(get_cache()), "begin_email_change", busy)
    ann.email = "ann@home.test"
    with pytest.raises(vidcache.Busy):
        ann.save()
    assert User.objects.using(using).get(pk=ann.pk).email == "ann@shop.test"


REFUSED = [
    ("UPDATE auth_user SET email = u.email FROM (SELECT 1 AS id, 'x' AS email) u WHERE u.id = auth_user.id", []),
    ("INSERT INTO auth_user (id, email) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET email = excluded.email", []),
    ("WITH one AS (SELECT 1) UPDATE auth_user SET email = 'x' WHERE id = 1", []),
    ("UPDATE auth_user SET email = %(email)s WHERE id = 1", {"email": "x"}),
]


@pytest.mark.parametrize("statement", REFUSED)
def test_what_cannot_be_understood_is_refused_and_can_be_said_by_hand(ann, using, statement):
    with pytest.raises(UnseenEmailChange):
        sql(using, *statement)
    assert User.objects.using(using).get(pk=ann.pk).email == "ann@shop.test" and reason(ann) == "agreed"
    with pytest.raises(UnseenEmailChange), connections[using].cursor() as cursor:
        cursor.executemany("UPDATE auth_user SET email = %s WHERE id = %s", [("x", ann.pk)])
    with hubspot_emails_will_change([ann]):
        assert reason(ann) == "change_outstanding"
        sql(using, "UPDATE auth_user SET email = %s WHERE id = %s", ["ann@home.test", ann.pk])
    assert jobs() == [(str(ann.pk), change_of(ann))]


def test_bulk_create_that_updates_is_refused(ann, using):
    with pytest.raises(UnseenEmailChange):
        User.objects.using(using).bulk_create(
            [User(pk=ann.pk, username="ann", email="ann@home.test")],
            update_conflicts=True, update_fields=["email"], unique_fields=["id"],
        )
    User.objects.using(using).bulk_create([User(username="carl", email="carl@shop.test")])


def test_an_email_in_another_table_is_said_by_hand_in_its_transaction(ann, using):
    with pytest.raises(transaction.TransactionManagementError):
        hubspot_email_will_change(ann)
    with transaction.atomic(using=using):
        token = hubspot_email_will_change(ann)
    assert jobs() == [(str(ann.pk), token)]
    with pytest.raises(LookupError):
        hubspot_email_will_change(Order())


def test_a_row_is_locked_between_the_look_and_the_update(ann, using):
    if using != "postgres":
        pytest.skip("skipped because SQLite has one writer at a time")
    # Who reads before somebody else's commit and writes after it would take the other's change back without a word.
    first, second = threading.Event(), threading.Event()

    def other():
        try:
            with transaction.atomic(using=using):
                user = User.objects.using(using).get(pk=ann.pk)
                user.email = "ann@home.test"
                user.save()
                first.set()
                second.wait(10)
        finally:
            connections[using].close()

    thread = threading.Thread(target=other)
    thread.start()
    assert first.wait(10)
    threading.Timer(0.2, second.set).start()
    ann.save()  # With the email that they had when they were read.
    thread.join()
    assert User.objects.using(using).get(pk=ann.pk).email == "ann@shop.test"
    assert len(jobs()) == 2, "the change back was not begun"


def test_a_new_user_gets_a_job_at_once_and_a_deleted_one_is_forgotten(using):
    with transaction.atomic(using=using):
        user = User(username="new", email="new@shop.test")
        user.save(using=using)
        assert jobs() == []
    assert jobs() == [(str(user.pk), None)] and django_shop.QUEUE[0][1] == 0
    assert "new@shop.test" not in json.dumps(django_shop.QUEUE)
    pk = user.pk
    confirm(pk, user.email)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        User.objects.using(using).filter(pk=pk).delete()
        1 / 0
    assert get_cache().resolve(pk)
    User.objects.using(using).filter(pk=pk).delete()
    assert get_cache().resolve(pk) is None


def test_a_new_row_takes_nothing_over_of_the_key_it_has(ann, using, caplog):
    pk = ann.pk
    User.objects.using(using).filter(pk=pk)._raw_delete(using)
    assert get_cache().resolve(pk)
    User(pk=pk, username="eve", email="eve@shop.test").save(using=using, force_insert=True)
    assert get_cache().resolve(pk) is None and "whose key the file knew" in caplog.text


def test_a_row_whose_key_cannot_be_asked_for_is_not_made(using, monkeypatch):
    def fails(*_):
        raise vidcache.Storage("no")

    for name in ("resolve", "is_known"):  # Of a file, and of the tables.
        monkeypatch.setattr(type(get_cache()), name, fails, raising=False)
    with pytest.raises(vidcache.Storage):
        User(username="eve", email="eve@shop.test").save(using=using)
    assert not User.objects.using(using).exists()


def test_an_email_that_may_not_be_used_yet_is_told_once_it_may(using):
    member = Member(mail="meg@shop.test")
    member.save(using=using)
    member.mail = "mag@shop.test"
    member.save()
    assert jobs() == []
    Member.objects.using(using).filter(pk=member.pk).update(confirmed=True)
    assert [pk for pk, _ in jobs()] == [str(member.pk)]
    member.refresh_from_db()
    member.seen = 1
    member.save()
    assert len(jobs()) == 1
    member.mail = "meg@shop.test"
    member.save()
    assert len(jobs()) == 2
    Member.objects.using(using).filter(pk=member.pk).update(seen=2)
    assert len(jobs()) == 2


def test_a_declaration_that_cannot_be_kept_raises():
    with pytest.raises(ImproperlyConfigured, match="no column mail"):
        has_vid(User, email="mail")
    with pytest.raises(ImproperlyConfigured, match="no field uuid"):
        has_vid(User, key="uuid")
    with pytest.raises(ImproperlyConfigured, match="no field hubspot_vid"):
        has_vid(User, vid="hubspot_vid")
    with pytest.raises(ImproperlyConfigured, match="no is_confirmed"):
        has_vid(User, usable="is_confirmed")
    with pytest.raises(ImproperlyConfigured, match="bare ids"):
        has_vid(Order)
    with pytest.raises(ImproperlyConfigured, match="no column full_name"):
        has_vid(User, email="full_name")


def test_transactions_by_hand_are_refused(ann, using):
    transaction.set_autocommit(False, using=using)
    try:
        ann.email = "ann@home.test"
        with pytest.raises(transaction.TransactionManagementError):
            ann.save()
    finally:
        transaction.rollback(using=using)
        transaction.set_autocommit(True, using=using)
    assert reason(ann) == "agreed"
