"""A small Django project for the tests: two databases of SQLite, and PostgreSQL where there is one. To import it
sets Django up."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import django
from django.conf import settings
from django.db import connections
from django.db.backends.signals import connection_created

from . import postgres

FOLDER = Path(tempfile.mkdtemp(prefix="vidcache-django-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
PORTAL = 62515
SECRET = "thirty-two bytes kept out of it."
QUEUE = []
"""What was enqueued: a job and the seconds that it is to wait."""


def enqueue(job, wait):
    QUEUE.append((job, wait))


def sqlite(name):
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / f"{name}.sqlite3", "OPTIONS": {"timeout": 5}}


VIDCACHE = {"portal_id": PORTAL, "secret": SECRET, "queue": "django_shop.enqueue"}
DATABASES = {"default": sqlite("default"), "other": sqlite("other")}
POSTGRES = None
if os.environ.get("VIDCACHE_STORE") == "database":
    # Everything again, with the rows in the project's own PostgreSQL: tests/run.
    POSTGRES = postgres.start()
    if POSTGRES is None:
        raise SystemExit("skipped because PostgreSQL or psycopg is not installed: the rows in the project's own database")
    atexit.register(POSTGRES.remove)
    DATABASES["default"] = POSTGRES.settings
    VIDCACHE["store"] = "database"
else:
    VIDCACHE.update(path=str(FOLDER / "hubspot.vidcache"), durable=False)

settings.configure(
    SECRET_KEY="x" * 60,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="django_shop.urls",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    DATABASES=DATABASES,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.admin",
        "vidcache.django",
        "vidcache.django.database",
        "django_shop",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
        "vidcache.django.middleware.VidcacheMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    # Tables are made without the history of how they came to be.
    MIGRATION_MODULES={app: None for app in ("auth", "contenttypes", "sessions", "admin")},
    VIDCACHE=VIDCACHE,
    LOGGING_CONFIG=None,
)
django.setup()


def without_sync(connection, **_):
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA synchronous = OFF")


def empty_tables():
    """As if nobody had ever set them up."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'vidcache%%'", [])
        for (table,) in cursor.fetchall():
            cursor.execute(f"TRUNCATE {table}")


connection_created.connect(without_sync, weak=False)
