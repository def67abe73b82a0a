"""The rows in the project's own PostgreSQL: what differs from a file. That everything else is the same is told by the
other tests of Django, which tests/run runs with this store, too."""

import json

import pytest
import vidcache
import vidcache.metrics

import django_shop
from django_shop import QUEUE
from django_shop.portal import configure, double, drain, perform_next, signed_up
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.test import Client
from django.test.utils import CaptureQueriesContext
from vidcache.django import get_cache, hubspot_tracking_data, statements
from vidcache.django.checks import check
from vidcache.django.contact_job import perform
from vidcache.django.database.store import Database
from vidcache.django.failure import clear

User = get_user_model()


@pytest.fixture
def portal(double, monkeypatch):
    double.reset()
    configure(monkeypatch, api_url=double.url, path=None)
    clear()
    QUEUE.clear()
    yield double
    QUEUE.clear()
    monkeypatch.undo()
    for user in User.objects.all():
        user.delete()


def told(user):
    return get_cache().decide(user.pk, user.email)


def sent(do):
    """The statements that it sends."""
    with CaptureQueriesContext(connection) as captured:
        do()
    return [query["sql"] for query in captured.captured_queries]


def execute(sql, *args):
    with connection.cursor() as cursor:
        cursor.execute(sql, args or None)
        return cursor.fetchall() if cursor.description else None


def prepared():
    return execute("SELECT count(*) FROM pg_prepared_statements")[0][0]


class Missing:
    """A table that is gone for a while."""

    def __init__(self, table="vidcache_changes"):
        self.table = table

    def __enter__(self):
        execute(f"ALTER TABLE {self.table} RENAME TO gone")

    def __exit__(self, *_):
        execute(f"ALTER TABLE gone RENAME TO {self.table}")


def test_a_page_is_one_statement_which_stays_prepared(portal):
    user = signed_up()
    connection.close()
    first = sent(lambda: told(user))
    assert told(user).agreed
    later = sent(lambda: told(user))
    assert len(later) == 1 and later[0].startswith("EXECUTE vidcache_page_") and prepared() == 1
    assert [sql.split()[0] for sql in first] == ["PREPARE", "EXECUTE"]
    # Whoever shares the contact is asked for by a second one.
    other = User.objects.create(username="bob", email="bob@shop.test")
    get_cache().link_shared(other.pk, get_cache().resolve(user.pk))
    assert len(sent(lambda: told(user))) == 3 and len(sent(lambda: told(user))) == 2 and prepared() == 2


def test_behind_a_pooler_nothing_is_kept_prepared(portal, monkeypatch):
    user = signed_up()
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", True)
    assert told(user).agreed and len(sent(lambda: told(user))) == 1 and prepared() == 0


def test_a_statement_that_the_server_has_no_more_is_prepared_anew(portal):
    user = signed_up()
    assert told(user).agreed
    execute("DEALLOCATE ALL")
    assert told(user).reason == "stale" and told(user).agreed


def test_a_change_is_there_if_and_only_if_the_transaction_is_committed(portal):
    user = signed_up()
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            User.objects.filter(pk=user.pk).update(email="gone@shop.test")
            assert told(user).reason == "change_outstanding"
            raise ZeroDivisionError
        assert told(user).agreed
    assert QUEUE == [] and execute("SELECT count(*) FROM vidcache_changes WHERE ended_at IS NULL") == [(0,)]
    user.email = "new@shop.test"
    user.save()
    assert told(user).reason == "change_outstanding"
    assert execute("SELECT count(*) FROM vidcache_changes WHERE ended_at IS NULL AND seen_at IS NOT NULL") == [(1,)]
    assert [round(wait) for _, wait in QUEUE] == [15]


def test_a_job_tells_hubspot_a_quiet_period_after_the_change_was_seen(portal):
    user = signed_up()
    with transaction.atomic():
        user.email = "new@shop.test"
        user.save()
    again = perform_next()
    assert 13 < again.wait <= 16 and portal.emails() == ["ann@shop.test"]
    execute("UPDATE vidcache_changes SET seen_at = seen_at - 20000, begun_at = begun_at - 20000")
    execute("UPDATE vidcache_links SET first_at = first_at - 20000, last_at = last_at - 20000")
    assert perform_next() is None and portal.emails() == ["new@shop.test"] and told(user).agreed


def test_what_fails_on_a_page_leaves_the_transaction_as_it_was(portal, caplog):
    user = signed_up()
    with Missing("vidcache_links"), transaction.atomic():
        User.objects.filter(pk=user.pk).update(first_name="Ann")
        assert told(user).reason == "stale"
        assert "ttl" in get_cache().page_data(user.pk, user.email)
    user.refresh_from_db()
    assert user.first_name == "Ann" and "manage.py migrate" in caplog.text and "@" not in caplog.text


def test_without_its_table_a_save_fails_or_is_made_up_for(portal, monkeypatch):
    user = signed_up()
    with Missing():
        with pytest.raises(vidcache.errors.TablesUnusable, match="run the app's migrations"):
            User.objects.filter(pk=user.pk).update(email="new@shop.test")
        assert User.objects.get(pk=user.pk).email == "ann@shop.test"
        configure(monkeypatch, when_unavailable="save")
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(email="new@shop.test")
    assert User.objects.get(pk=user.pk).email == "new@shop.test" and len(QUEUE) == 1
    perform_next()
    user.refresh_from_db()
    assert told(user).reason == "change_outstanding"


def test_a_server_that_is_gone_makes_pages_say_less_and_the_first_one_after_it_names_the_email_again(portal, caplog):
    user = signed_up()
    django_shop.POSTGRES.stop()
    try:
        assert [told(user).reason, told(user).reason] == ["stale", "stale"]
        assert hubspot_tracking_data is not None and caplog.text.count("cannot be reached") == 1
        with pytest.raises(vidcache.Storage, match="cannot be reached"):
            get_cache().apply_webhook(b"[]") if False else get_cache().lease(user.pk, 1)
    finally:
        django_shop.POSTGRES.start()
    assert told(user).agreed


def test_answers_may_be_kept(portal, monkeypatch):
    user = signed_up()
    configure(monkeypatch, max_age=1)
    monkeypatch.setattr(vidcache.django, "_cache", None)
    told(user)
    assert told(user).agreed and sent(lambda: told(user)) == []
    assert get_cache().stats().hits >= 1
    kept = vidcache.metrics.text(get_cache())
    assert "vidcache_looks_total" in kept and "vidcache_log" not in kept


def test_another_secret_and_another_portal_are_told(portal, monkeypatch):
    signed_up()
    for key, value, error in (("secret", "another secret of as many bytes.", vidcache.WrongSecret), ("portal_id", 7, vidcache.WrongPortal)):
        with monkeypatch.context() as patch:
            patch.setitem(settings.VIDCACHE, key, value)
            patch.setattr(vidcache.django, "_cache", None)
            with pytest.raises(error):
                get_cache()


def test_a_file_is_copied(portal, tmp_path, capsys):
    path = tmp_path / "hubspot.vidcache"
    answer = {"id": "901", "properties": {"email": "ann@shop.test"}, "updatedAt": "2026-03-01T10:00:00.000Z"}
    get_cache()
    with vidcache.Cache(path, django_shop.PORTAL, secret=django_shop.SECRET) as file:
        file.record(77, answer)
    for _ in range(2):
        call_command("vidcache_copy", str(path))
    assert get_cache().resolve(77) == 901
    with pytest.raises(CommandError, match="there is no file"):
        call_command("vidcache_copy", str(tmp_path / "none"))


def test_the_migration_makes_the_tables_of_the_core(portal):
    twin = vidcache._library.native.Statements.open("twin", 1, vidcache._library.native.OpenOptions(secret=b"x" * 16), None)
    shape = """SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_indexdef(c.oid)
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = %s::regnamespace AND c.relname LIKE 'vidcache%%' ORDER BY 1, 2"""
    with transaction.atomic():
        execute("CREATE SCHEMA twin")
        for sql in twin.create():
            execute(sql)
        found = [[(*row[:4], str(row[4]).replace("twin.", "").replace("public.", "")) for row in execute(shape, schema)] for schema in ("public", "twin")]
        execute("DROP SCHEMA twin CASCADE")
    assert found[0] == found[1] and len(found[0]) > 50
    assert ("vidcache_database", "0001_tables") in MigrationLoader(connection).applied_migrations


def test_what_the_settings_lack_is_told(portal, monkeypatch):
    ids = lambda: [problem.id for problem in check() if problem.id not in ("vidcache.W003",)]
    assert ids() == []
    for more, found in (({"database": "other"}, "vidcache.E013"), ({"database": "none"}, "vidcache.E013"), ({"max_age": "1"}, "vidcache.E012")):
        with monkeypatch.context() as patch:
            patch.setattr(settings, "VIDCACHE", {**settings.VIDCACHE, **more})
            assert ids() == [found]
    with monkeypatch.context() as patch:
        patch.setattr("django.apps.apps.is_installed", lambda name: False)
        assert ids() == ["vidcache.E014"]
    for wrong, words in (({"store": "files"}, "neither"), ({"secret": None, "store": "file"}, '"path"')):
        with monkeypatch.context() as patch:
            patch.setattr(settings, "VIDCACHE", {**settings.VIDCACHE, **wrong})
            with pytest.raises(ImproperlyConfigured, match=words):
                vidcache.django.configuration()
    with pytest.raises(vidcache.TablesUnusable, match="needs PostgreSQL"):
        Database(1, secret="x" * 16, database="other")
    with pytest.raises(vidcache.InvalidOption, match="max_age"):
        Database(1, secret="x" * 16, max_age=0.5)


def test_the_check_says_how_long_a_page_asks(portal, capsys):
    signed_up()
    try:
        call_command("vidcache_check")
    except CommandError:
        pass  # What production needs besides.
    said = capsys.readouterr().out
    assert "fine  the tables are portal 62515's" in said and "lock_timeout is not set" in said


def test_to_doubt_all_is_one_row(portal, capsys):
    user = signed_up()
    call_command("vidcache_doubt")
    assert told(user).reason == "email_unconfirmed"
