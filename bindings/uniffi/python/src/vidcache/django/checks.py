"""What `manage.py check` says of the settings, and `check --deploy` of those that production needs besides. Opens
nothing."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from .. import _input
from ..errors import CannotOpen, InvalidOption, InvalidSecret
from . import configuration, no_store
from .declaration import declaration_of, declared
from .settings import access_token, configured, enqueue, given, in_database, saves_without_file
from .webhook_address import problem as problem_of_address
from .webhook_address import webhook_url


def check(**_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check` says. Opens nothing."""
    try:
        found = configuration()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="vidcache.E001")]
    problems: list[checks.CheckMessage] = _of_database(found) if in_database() else _of_file(found)
    try:
        # As the library takes it: what counts is its bytes.
        secret = _input.secret(found.get("secret") or None)
    except InvalidSecret:
        secret = b""
    if secret is None:
        problems.append(
            checks.Warning(
                "VIDCACHE has no secret: whoever has the file can test a guessed email against it",
                id="vidcache.W001",
            )
        )
    elif len(secret) < 16:
        problems.append(
            checks.Error("VIDCACHE's secret must be bytes or a str of at least 16 bytes", id="vidcache.E003")
        )
    problems += _values(found)
    try:
        saves_without_file()
    except ImproperlyConfigured as error:
        problems.append(checks.Error(str(error), id="vidcache.E011"))
    problems += _changes()
    processors = [
        name for engine in settings.TEMPLATES for name in engine.get("OPTIONS", {}).get("context_processors", [])
    ]
    if "django.template.context_processors.request" not in processors:
        problems.append(
            checks.Warning(
                "hubspot_tracking needs django.template.context_processors.request in TEMPLATES", id="vidcache.W002"
            )
        )
    middleware = list(settings.MIDDLEWARE)
    ours = next((at for at, name in enumerate(middleware) if name.endswith("VidcacheMiddleware")), None)
    if ours is None:
        problems.append(
            checks.Warning(
                "pages that name their visitor are not kept from caches: put "
                "vidcache.django.middleware.VidcacheMiddleware into MIDDLEWARE",
                id="vidcache.W003",
            )
        )
    # What stands above sees the response later: it would give it an ETag again, which `no-store` alone keeps it from.
    elif not no_store() and "django.middleware.http.ConditionalGetMiddleware" in middleware[:ours]:
        problems.append(
            checks.Warning(
                "without no_store pages that name their visitor must have no ETag: put VidcacheMiddleware above "
                "ConditionalGetMiddleware in MIDDLEWARE",
                id="vidcache.W004",
            )
        )
    return problems


def _of_file(found: dict[str, Any]) -> list[checks.CheckMessage]:
    problems: list[checks.CheckMessage] = []
    try:
        folder = os.fsdecode(os.path.dirname(os.path.abspath(_input.path(found["path"]))))
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
            problem = f"VIDCACHE: {folder} is no folder that this process may write to"
            problems.append(checks.Error(problem, id="vidcache.E002"))
        elif os.path.exists(found["path"]) and not os.access(found["path"], os.R_OK | os.W_OK):
            problem = f"VIDCACHE: {os.fsdecode(found['path'])} is there, and this process may not write to it"
            problems.append(checks.Error(problem, id="vidcache.E002"))
    except CannotOpen:
        problems.append(checks.Error("VIDCACHE's path must be a str, bytes or os.PathLike", id="vidcache.E002"))
    return problems


def _of_database(found: dict[str, Any]) -> list[checks.CheckMessage]:
    problems: list[checks.CheckMessage] = []
    alias = found.get("database", "default")
    engine = str(settings.DATABASES.get(alias, {}).get("ENGINE", ""))
    if alias not in settings.DATABASES:
        problems.append(checks.Error(f'VIDCACHE["database"] is "{alias}", which DATABASES has not', id="vidcache.E013"))
    elif "postg" not in engine:
        problem = f'VIDCACHE["store"] = "database" needs PostgreSQL, and DATABASES["{alias}"] is {engine or "none"}'
        hint = 'VIDCACHE["path"], the file, serves the processes of one host. Tests need no tables: vidcache.testing.'
        problems.append(checks.Error(problem, hint=hint, id="vidcache.E013"))
    if not apps.is_installed("vidcache.django.database"):
        hint = 'INSTALLED_APPS += ["vidcache.django.database"], then manage.py migrate'
        problems.append(checks.Error("nobody makes the tables of VIDCACHE's store", hint=hint, id="vidcache.E014"))
    return problems


def _values(found: dict[str, Any]) -> list[checks.CheckMessage]:
    """What the environment gives is text."""
    problems: list[checks.CheckMessage] = []
    if not _input.fits(found["portal_id"]):
        hint = 'int(os.environ["HUBSPOT_PORTAL"])'
        problems.append(checks.Error('VIDCACHE["portal_id"] must be an int, HubSpot\'s number of the account', hint=hint, id="vidcache.E012"))
    for name in sorted({"page_deadline", "busy_timeout", "max_age"} & found.keys()):
        try:
            _input.milliseconds(found[name], name)
        except InvalidOption:
            hint = f'float(os.environ["{name.upper()}"])'
            problems.append(checks.Error(f'VIDCACHE["{name}"] must be a number of seconds', hint=hint, id="vidcache.E012"))
    return problems


def _changes() -> list[checks.CheckMessage]:
    """Whether changes of email are begun, and told of: without both a page names what HubSpot may not hold any
    more."""
    problems: list[checks.CheckMessage] = []
    named = None if given("user") else get_user_model()
    if not declared() or (named is not None and declaration_of(named) is None):
        of = "the model whose users the pages name" if named is None else named._meta.label
        problems.append(
            checks.Error(
                f"changes of email are not begun: {of} has no has_vid, so a page may name an email that HubSpot no longer holds",
                hint="vidcache.django.has_vid, in the model or in the ready of an AppConfig. An app that begins every change by hand "
                "puts vidcache.E004 into SILENCED_SYSTEM_CHECKS.",
                id="vidcache.E004",
            )
        )
    try:
        enqueue()
    except ImproperlyConfigured as error:
        hint = '"queue": "vidcache.django.celery.enqueue", "vidcache.django.rq.enqueue" or a function of your own'
        problems.append(checks.Error(str(error), hint=hint, id="vidcache.E005"))
    if importlib.util.find_spec("cryptography") is None:
        problem = "jobs cannot keep the email before a change, which is encrypted: pip install 'vidcache[django]'"
        problems.append(checks.Error(problem, id="vidcache.E006"))
    return problems


def check_deployed(**_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check --deploy` says."""
    if not configured():
        return []
    problems: list[checks.CheckMessage] = []
    try:
        token = access_token()
    except ImproperlyConfigured as error:
        problems.append(checks.Error(str(error), id="vidcache.E007"))
    else:
        if token is None:
            problem = 'VIDCACHE has no "access_token", so HubSpot is neither told nor asked'
            problems.append(checks.Error(problem, id="vidcache.E007"))
    if not str(given("client_secret") or "").strip():
        problem = 'VIDCACHE has no "client_secret", so every webhook is refused, and changes inside HubSpot are not heard of'
        problems.append(checks.Error(problem, id="vidcache.E008"))
    url = webhook_url()
    wrong = "is not set: without it a request says itself which address it was signed for" if url is None else problem_of_address(url, secure=True)
    if wrong is not None:
        problems.append(checks.Error(f'VIDCACHE["webhook_url"] {wrong}', id="vidcache.E009"))
    if given("queue") == "vidcache.django.celery.enqueue" and _celery_is_eager():
        problem = "Celery runs tasks at once (task_always_eager), so jobs that have to wait are not done"
        problems.append(checks.Error(problem, id="vidcache.E010"))
    return problems


def _celery_is_eager() -> bool:
    from celery import current_app

    return bool(current_app.conf.task_always_eager)
