"""Django, FastAPI and Flask, each the real one."""

import os
import subprocess
import sys
import textwrap

import pytest
import vidcache
from conftest import ANSWER, PORTAL, SECRET


@pytest.fixture
def known(path):
    with vidcache.Cache(path, PORTAL, secret=SECRET) as cache:
        cache.record(42, ANSWER)
    return path


def test_flask(known, caplog):
    import flask
    from vidcache.flask import Vidcache

    app = flask.Flask(__name__)
    app.config.update(VIDCACHE_PATH=known, VIDCACHE_PORTAL_ID=PORTAL, VIDCACHE_SECRET=SECRET)
    extension = Vidcache(app)
    page = "<p>{{ hubspot_tracking(user, email, 'n0nce') }}</p>"

    @app.get("/<user>")
    def show(user):
        return flask.render_template_string(page, user=user, email=flask.request.args.get("email"))

    @app.get("/")
    def home():
        return flask.render_template_string("{{ hubspot_tracking() }}")

    client = app.test_client()
    assert b"ann@shop.test" in client.get("/42?email=ann@shop.test").data
    unsure = client.get("/42?email=ann@home.test").data
    assert b"901" in unsure and b"ann@" not in unsure and b'nonce="n0nce"' in unsure
    assert b"<script" in client.get("/").data
    with app.app_context():
        extension.cache.close()
    assert client.get("/42").data == b"<p></p>"
    assert "the page says nothing: the cache is closed" in caplog.text


def test_fastapi(known, tmp_path, caplog):
    import fastapi
    import fastapi.responses
    from fastapi.templating import Jinja2Templates
    from fastapi.testclient import TestClient
    from vidcache.starlette import add_to, get_cache, lifespan, tracking_html

    (tmp_path / "page.html").write_text("<p>{{ hubspot_tracking(user, email) }}</p>")
    templates = Jinja2Templates(tmp_path)
    add_to(templates)
    app = fastapi.FastAPI(lifespan=lifespan(known, PORTAL, secret=SECRET))

    @app.get("/resolve/{user}")
    def resolve(user: str, cache: vidcache.Cache = fastapi.Depends(get_cache)):  # noqa: B008
        return cache.resolve(user)

    @app.get("/{user}")
    def show(request: fastapi.Request, user: str, email: str = ""):
        # What TemplateResponse does; its arguments came in another order before Starlette 0.29.
        page = templates.get_template("page.html").render(request=request, user=user, email=email)
        return fastapi.responses.HTMLResponse(page)

    with TestClient(app) as client:
        assert client.get("/resolve/42").json() == 901
        assert "ann@shop.test" in client.get("/42?email=ann@shop.test").text
        assert "ann@" not in client.get("/42?email=ann@home.test").text
        assert client.get("/42?email=nonsense").text == "<p></p>" and "nonsense" not in caplog.text
        opened = app.state.vidcache
        assert "ann@shop.test" in tracking_html(opened, 42, "ann@shop.test")
    with pytest.raises(vidcache.Closed):
        opened.resolve(42)
    assert tracking_html(opened, 42, None) == ""


DJANGO = """
    import django, json, logging, sys
    from django.conf import settings
    path, portal, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    settings.configure(
        SECRET_KEY="x" * 60, ALLOWED_HOSTS=["*"], ROOT_URLCONF="__main__", USE_TZ=True,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "vidcache.django"],
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware",
                    "django.contrib.auth.middleware.AuthenticationMiddleware",
                    "vidcache.django.middleware.VidcacheMiddleware"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"context_processors": [
            "django.template.context_processors.request"]}}],
        VIDCACHE={"path": path, "portal_id": portal, "secret": secret},
        LOGGING_CONFIG=None,
    )
    django.setup()
    logging.basicConfig(stream=sys.stdout)
    from django.core.management import call_command
    from django.core import checks
    from django.contrib.auth import get_user_model
    from django.http import HttpResponse
    from django.template import engines
    from django.test import Client, override_settings
    from django.urls import path as route

    def page(request):
        template = engines["django"].from_string("<p>{% load vidcache %}{% hubspot_tracking %}</p>")
        return HttpResponse(template.render({}, request))

    def plain(request):
        return HttpResponse(str(request.vidcache.resolve(42)))

    urlpatterns = [route("", page), route("plain", plain)]
    call_command("migrate", verbosity=0)
    assert checks.run_checks() == [], checks.run_checks()
    user = get_user_model()(pk=42, username="ann", email="ann@shop.test")
    user.set_unusable_password(); user.save()

    visitor, ann = Client(), Client()
    ann.force_login(user)
    assert visitor.get("/plain").content == b"901"
    assert not visitor.get("/plain").has_header("Cache-Control")
    answer = visitor.get("/")
    assert b"<script" in answer.content and b"901" not in answer.content
    answer = ann.get("/")
    assert b"ann@shop.test" in answer.content and answer["Cache-Control"] == "private", answer.content
    user.email = "ann@home.test"; user.save()
    answer = ann.get("/")
    assert b"901" in answer.content and b"ann@" not in answer.content

    with override_settings(VIDCACHE={**settings.VIDCACHE, "user": lambda request: (42, "ann@shop.test")}):
        assert b"ann@shop.test" in visitor.get("/").content
    for wrong, code in (({}, "E001"), ({"path": "/nowhere/x", "portal_id": 1, "secret": "x" * 16}, "E002"),
                        ({"path": 7, "portal_id": 1, "secret": "x" * 16}, "E002"),
                        ({"path": path, "portal_id": 1}, "W001"), ({"path": path, "portal_id": 1, "secret": "x"}, "E003"),
                        ({"path": path, "portal_id": 1, "secret": "é" * 7}, "E003"),
                        ({"path": path, "portal_id": 1, "secret": 7}, "E003")):
        with override_settings(VIDCACHE=wrong):
            assert ["vidcache." + code] == [problem.id for problem in checks.run_checks()], code
            if code[0] == "E":
                assert ann.get("/").content == b"<p></p>"
    # The library takes 16 bytes, in however many letters.
    with override_settings(VIDCACHE={"path": path + "-other", "portal_id": portal, "secret": "é" * 8}):
        assert checks.run_checks() == [] and b"<script" in ann.get("/").content
    assert b"901" in ann.get("/").content
    print("fine")
"""


def test_django(known):
    command = [sys.executable, "-c", textwrap.dedent(DJANGO), str(known), str(PORTAL), SECRET]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert run.returncode == 0 and run.stdout.strip().endswith("fine"), run.stdout + run.stderr
    assert "the page says nothing: " in run.stdout and "ann@" not in run.stdout + run.stderr
