"""The databases that a test is run on, each in its turn: SQLite as the default one and as another, and PostgreSQL. A
test's file imports `using`, and the two that it needs."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

import django_shop
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections
from django_shop.models import Address, Member, Order, Subscriber

User = get_user_model()
# Debian has a folder for each version.
PG = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: float(found.parent.name), default=Path("/no-postgresql"))
DATABASES = ["default", "other", "postgres"]


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL of the tests' own, reached by a socket; None where it cannot be had."""
    if not os.path.exists(f"{PG}/initdb") or importlib.util.find_spec("psycopg") is None:
        yield None
        return
    # Of its own: pytest's folders are for one user, and PostgreSQL does not run as root.
    folder = Path(tempfile.mkdtemp(prefix="vidcache-pg-"))
    as_user = {}
    if os.geteuid() == 0:
        as_user = {"user": "postgres"}
        shutil.chown(folder, "postgres")
    data = folder / "data"

    def run(*command):
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **as_user)

    run(f"{PG}/initdb", "-D", data, "-A", "trust", "-U", "shop", "--no-sync")
    run(f"{PG}/pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", f"-F -c listen_addresses='' -k {folder}", "start")
    try:
        yield {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "shop", "HOST": str(folder)}
    finally:
        for alias in list(connections):
            if alias == "postgres":
                connections[alias].close()
        run(f"{PG}/pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def tables(postgres):
    if postgres:
        connections.settings["postgres"] = connections.configure_settings({"default": postgres})["default"]
    for alias in DATABASES if postgres else DATABASES[:2]:
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
    yield request.param
    if request.param in connections.settings:
        for model in (User, Member, Address, Subscriber, Order):
            model._base_manager.using(request.param).all()._raw_delete(request.param)
    django_shop.QUEUE.clear()
