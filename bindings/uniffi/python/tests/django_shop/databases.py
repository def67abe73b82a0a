"""The databases that a test is run on, each in its turn: SQLite as the default one and as another, and PostgreSQL. A
test's file imports `using`, and the two that it needs."""

import pytest

import django_shop
import vidcache.django
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django_shop.postgres import start
from django_shop.models import Address, Member, Order, Subscriber

User = get_user_model()
# The users are where the tables are, if the rows are in the project's own database.
DATABASES = ["default"] if django_shop.POSTGRES else ["default", "other", "postgres"]


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL of the tests' own, reached by a socket; None where it cannot be had."""
    found = start()
    yield found and found.settings
    if found:
        for alias in list(connections):
            if alias == "postgres":
                connections[alias].close()
        found.remove()


@pytest.fixture(scope="module")
def tables(postgres):
    if postgres:
        connections.settings["postgres"] = connections.configure_settings({"default": postgres})["default"]
    for alias in DATABASES[: 3 if postgres else 2]:
        call_command("migrate", database=alias, run_syncdb=True, verbosity=0)
    yield postgres
    if postgres:
        connections["postgres"].close()
        del connections["postgres"]
        del connections.settings["postgres"]


@pytest.fixture(params=DATABASES)
def using(request, tables):
    if request.param == "postgres" and tables is None:
        pytest.skip("skipped because PostgreSQL or psycopg is not installed")
    if django_shop.POSTGRES:
        django_shop.empty_tables()
        vidcache.django._cache = None
    yield request.param
    if request.param in connections.settings:
        for model in (User, Member, Address, Subscriber, Order):
            model._base_manager.using(request.param).all()._raw_delete(request.param)
    django_shop.QUEUE.clear()
