"""The recipe for allauth in docs/guides/django.md: the real one, through its pages. What it keeps of addresses
stands in a table of its own; the user's row has the first of them. """

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[4] / "docs/guides/django.md"

SHOP = """
    import json, re, sys, time
    from importlib.metadata import version
    import django
    from django.conf import settings
    folder = sys.argv[1]
    queue = []
    # How people sign up has had other names since allauth 65.5.
    sign_up = {"ACCOUNT_LOGIN_METHODS": {"email"}, "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"]}
    if tuple(map(int, version("django-allauth").split(".")[:2])) < (65, 5):
        sign_up = {"ACCOUNT_AUTHENTICATION_METHOD": "email", "ACCOUNT_EMAIL_REQUIRED": True, "ACCOUNT_USERNAME_REQUIRED": False,
                   "ACCOUNT_SIGNUP_PASSWORD_ENTER_TWICE": False}
    settings.configure(
        SECRET_KEY="x" * 60, ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", USE_TZ=True, SITE_ID=1,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder + "/shop.sqlite3"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
                        "allauth", "allauth.account", "vidcache.django"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                    "django.contrib.auth.middleware.AuthenticationMiddleware",
                    "django.contrib.messages.middleware.MessageMiddleware",
                    "allauth.account.middleware.AccountMiddleware",
                    "vidcache.django.middleware.VidcacheMiddleware"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
            "context_processors": ["django.template.context_processors.request",
                                   "django.contrib.messages.context_processors.messages",
                                   "django.contrib.auth.context_processors.auth"]}}],
        MIGRATION_MODULES={app: None for app in ("auth", "contenttypes", "sessions", "account")},
        EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ACCOUNT_EMAIL_VERIFICATION="mandatory", ACCOUNT_CHANGE_EMAIL=True, ACCOUNT_CONFIRM_EMAIL_ON_GET=True,
        LOGIN_REDIRECT_URL="/",
        ACCOUNT_REAUTHENTICATION_REQUIRED=False, ACCOUNT_RATE_LIMITS=False,
        ATOMIC_REQUESTS=True, LOGGING_CONFIG=None,
        VIDCACHE={"path": folder + "/hubspot.vidcache", "portal_id": 62515, "secret": "x" * 16, "durable": False,
                  "queue": lambda job, wait: queue.append(job)},
        **sign_up,
    )
    django.setup()
    from django.contrib.auth import get_user_model
    from django.core import mail
    from django.core.management import call_command
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import include, path
    from vidcache.django import get_cache, has_vid

    #RECIPE#
    urlpatterns = [path("accounts/", include("allauth.urls")), path("", lambda request: HttpResponse("fine"))]
    call_command("migrate", run_syncdb=True, verbosity=0)
    client = Client()

    def confirm():
        link = re.search(r"http://testserver(/accounts/confirm-email/\\S+)", mail.outbox[-1].body)[1]
        assert client.get(link).status_code == 302

    def tell(user):
        time.sleep(0.003)
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() // 1_000_000 % 1000:03}Z"
        answer = json.dumps({"id": "901", "properties": {"email": user.email}, "updatedAt": at})
        while queue:
            get_cache().record(user.pk, answer, change=queue.pop()["change"])

    def reason():
        return get_cache().decide(user.pk, user.email).reason

    assert client.post("/accounts/signup/", {"email": "ann@shop.test", "password1": "correct horse"}).status_code == 302
    user = get_user_model().objects.get()
    assert user.email == "ann@shop.test" and queue == [], "whoever typed that address need not be the person who has it"
    confirm()
    assert len(queue) == 1
    tell(user)
    assert reason() == "agreed"
    client.force_login(user)
    assert client.post("/accounts/email/", {"email": "ann@home.test", "action_add": ""}).status_code == 302
    user.refresh_from_db()
    assert user.email == "ann@shop.test" and reason() == "agreed" and queue == []
    confirm()
    user.refresh_from_db()
    assert user.email == "ann@home.test" and reason() == "change_outstanding" and queue
    tell(user)
    assert reason() == "agreed"
    # A sign-up by somebody else's button comes confirmed, and allauth sends no signal of that.
    from allauth.account.models import EmailAddress
    other = get_user_model().objects.create(username="bob", email="bob@shop.test")
    assert queue == []
    EmailAddress.objects.create(user=other, email="bob@shop.test", verified=True, primary=True)
    assert [job["pk"] for job in queue] == [str(other.pk)]
    print("fine")
"""


def test_allauths_pages_tell_of_an_address_once_it_is_confirmed(tmp_path):
    pytest.importorskip("allauth", reason="skipped because allauth is not installed")
    (recipe,) = re.findall(r"^```python\n(# allauth.*?)^```$", GUIDE.read_text(), re.M | re.S)
    script = textwrap.dedent(SHOP).replace("#RECIPE#", recipe)
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0 and run.stdout.strip().endswith("fine"), run.stdout + run.stderr
