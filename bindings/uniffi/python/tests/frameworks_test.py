"""Django, FastAPI and Flask, each the real one."""

import os
import subprocess
import sys
import textwrap

import pytest
import vidcache
from conftest import ANSWER, PORTAL, SECRET


NO_STORE, NO_CACHE = "private, no-store", "private, no-cache"


@pytest.fixture
def known(path):
    with vidcache.Cache(path, PORTAL, secret=SECRET) as cache:
        cache.record(42, ANSWER)
    return path


def headers_of_each_framework():
    from django.http.response import ResponseHeaders
    from starlette.datastructures import MutableHeaders
    from werkzeug.datastructures import Headers

    return [Headers(), MutableHeaders(raw=[]), ResponseHeaders({})]


@pytest.mark.parametrize("at", range(3), ids=["flask", "starlette", "django"])
@pytest.mark.parametrize("said", [None, "public, max-age=60", "no-store"])
@pytest.mark.parametrize("no_store", [True, False])
def test_what_shared_caches_believe_before_cache_control_is_taken_off(at, said, no_store):
    from vidcache._page import keep_from_caches

    names = [
        *("Surrogate-Control", "CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "netlify-cdn-cache-control"),
        *("Vercel-CDN-Cache-Control", "Akamai-Cache-Control", "X-LiteSpeed-Cache-Control", "Edge-Control", "X-Accel-Expires"),
    ]
    headers = headers_of_each_framework()[at]
    for name in (*names, "X-Cache-Controller"):
        headers[name] = "max-age=3600"
    if said:
        headers["Cache-Control"] = said
    keep_from_caches(headers, no_store)
    assert [name for name in names if name in headers] == []
    assert headers["X-Cache-Controller"] == "max-age=3600"
    assert headers["Cache-Control"] == (said if said == "no-store" else NO_STORE if no_store else NO_CACHE)


def test_flask(known, caplog):
    import flask
    from vidcache.flask import Vidcache, hubspot_signed_out_data, hubspot_tracking_data

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

    @app.get("/out")
    def out():
        return flask.render_template_string("{{ hubspot_signed_out_tag('n0nce') }}")

    @app.get("/me.json")
    def me():
        return {"hubspot": hubspot_tracking_data(42, flask.request.args.get("email"))}

    @app.get("/out.json")
    def out_data():
        return hubspot_signed_out_data()

    @app.get("/cached")
    def cached():
        answer = flask.make_response(flask.render_template_string(page, user=42, email=None))
        answer.headers.update({"Cache-Control": flask.request.args["now"], "ETag": '"x"', "Last-Modified": "y"})
        return answer

    client = app.test_client()
    answer = client.get("/42?email=ann@shop.test")
    assert b"ann@shop.test" in answer.data and answer.headers["Cache-Control"] == NO_STORE
    unsure = client.get("/42?email=ann@home.test")
    assert b'"vid:901"' in unsure.data and b"ann@" not in unsure.data and b' nonce="n0nce"' in unsure.data
    assert unsure.headers["Cache-Control"] == NO_STORE
    for path in ("/", "/43?email=ann@shop.test"):
        answer = client.get(path)
        assert b"<script" in answer.data and "Cache-Control" not in answer.headers
    answer = client.get("/out")
    assert b'"out":true' in answer.data and b' nonce="n0nce"' in answer.data and answer.headers["Cache-Control"] == NO_STORE
    answer = client.get("/me.json?email=ann@shop.test")
    assert answer.json["hubspot"]["email"] == "ann@shop.test" and answer.headers["Cache-Control"] == NO_STORE
    answer = client.get("/out.json")
    assert answer.json["out"] is True and answer.headers["Cache-Control"] == NO_STORE
    # What a view has set does not keep the header away; no-store itself stays as it is.
    answer = client.get("/cached?now=public,max-age=60")
    assert answer.headers["Cache-Control"] == NO_STORE and "ETag" in answer.headers
    assert client.get("/cached?now=no-store,max-age=0").headers["Cache-Control"] == "no-store,max-age=0"
    app.config["VIDCACHE_NO_STORE"] = False
    answer = client.get("/cached?now=public")
    assert answer.headers["Cache-Control"] == NO_CACHE and not {"ETag", "Last-Modified"} & set(answer.headers.keys())
    # One context for all: what a page has said does not stick to the next.
    with app.app_context():
        assert client.get("/42").headers["Cache-Control"] == NO_CACHE
        assert "Cache-Control" not in client.get("/").headers
        extension.cache.close()
    assert client.get("/42").data == b"<p></p>"
    assert client.get("/me.json?email=ann@shop.test").json["hubspot"].keys() == {"at", "ttl"}
    assert "the data names nobody: the cache is closed" in caplog.text and "ann@" not in caplog.text
    assert "the page says nothing: the cache is closed" in caplog.text


def fastapi_shop(known, tmp_path, **options):
    import fastapi
    import fastapi.responses
    from fastapi.templating import Jinja2Templates
    from vidcache.starlette import VidcacheMiddleware, add_to, get_cache, lifespan
    from vidcache.starlette import hubspot_signed_out_data, hubspot_tracking_data, signed_out_html, tracking_html

    (tmp_path / "page.html").write_text("<p>{{ hubspot_tracking(user, email) }}</p>")
    (tmp_path / "out.html").write_text("<p>{{ hubspot_signed_out_tag('n0nce') }}</p>")
    templates = Jinja2Templates(tmp_path)
    add_to(templates)
    app = fastapi.FastAPI(lifespan=lifespan(known, PORTAL, secret=SECRET))
    if options.pop("middleware", True):
        app.add_middleware(VidcacheMiddleware, **options)

    @app.get("/resolve/{user}")
    def resolve(user: str, cache: vidcache.Cache = fastapi.Depends(get_cache)):  # noqa: B008
        return cache.resolve(user)

    @app.get("/me.json")
    def me(request: fastapi.Request, email: str = ""):
        return {"hubspot": hubspot_tracking_data(request, 42, email)}

    @app.get("/out.json")
    def out_data(request: fastapi.Request):
        return hubspot_signed_out_data(request)

    @app.get("/out")
    def out(request: fastapi.Request):
        return fastapi.responses.HTMLResponse(templates.get_template("out.html").render(request=request))

    @app.get("/without")
    def without(request: fastapi.Request, out: bool = False, now: str = ""):
        cache = get_cache(request)
        page = signed_out_html(cache, request=request) if out else tracking_html(cache, 42, None, request=request)
        headers = {"cache-control": now, "etag": '"x"', "last-modified": "y"} if now else {}
        return fastapi.responses.HTMLResponse(page, headers=headers)

    @app.get("/{user}")
    def show(request: fastapi.Request, user: str, email: str = ""):
        # What TemplateResponse does; its arguments came in another order before Starlette 0.29.
        page = templates.get_template("page.html").render(request=request, user=user, email=email)
        return fastapi.responses.HTMLResponse(page)

    return app


def test_fastapi(known, tmp_path, caplog):
    from fastapi.testclient import TestClient
    from vidcache.starlette import tracking_html

    app = fastapi_shop(known, tmp_path)
    with TestClient(app) as client:
        answer = client.get("/resolve/42")
        assert answer.json() == 901 and "cache-control" not in answer.headers
        answer = client.get("/42?email=ann@shop.test")
        assert "ann@shop.test" in answer.text and answer.headers["cache-control"] == NO_STORE
        answer = client.get("/42?email=ann@home.test")
        assert "ann@" not in answer.text and answer.headers["cache-control"] == NO_STORE
        answer = client.get("/43?email=ann@shop.test")
        assert "<script" in answer.text and "cache-control" not in answer.headers
        answer = client.get("/out")
        assert '"out":true' in answer.text and ' nonce="n0nce"' in answer.text and answer.headers["cache-control"] == NO_STORE
        answer = client.get("/me.json?email=ann@shop.test")
        assert answer.json()["hubspot"]["id"] == "vid:901" and answer.headers["cache-control"] == NO_STORE
        answer = client.get("/out.json")
        assert answer.json()["out"] is True and answer.headers["cache-control"] == NO_STORE
        assert client.get("/without").headers["cache-control"] == NO_STORE
        assert client.get("/without?out=true").headers["cache-control"] == NO_STORE
        # What an endpoint has set does not keep the header away; no-store itself stays as it is.
        answer = client.get("/without?now=public")
        assert answer.headers["cache-control"] == NO_STORE and "etag" in answer.headers
        assert client.get("/without?now=no-store,max-age=0").headers["cache-control"] == "no-store,max-age=0"
        assert client.get("/me.json?email=nonsense").json()["hubspot"].keys() == {"at", "ttl"}
        assert client.get("/42?email=nonsense").text == "<p></p>" and "nonsense" not in caplog.text
        opened = app.state.vidcache
        assert "ann@shop.test" in tracking_html(opened, 42, "ann@shop.test")
    with pytest.raises(vidcache.Closed):
        opened.resolve(42)
    assert tracking_html(opened, 42, None) == ""
    assert "kept from caches" not in caplog.text


def test_fastapi_without_no_store(known, tmp_path):
    from fastapi.testclient import TestClient

    with TestClient(fastapi_shop(known, tmp_path, no_store=False)) as client:
        assert client.get("/42?email=ann@shop.test").headers["cache-control"] == NO_CACHE
        answer = client.get("/without?now=public")
        assert answer.headers["cache-control"] == NO_CACHE and not {"etag", "last-modified"} & set(answer.headers)


def test_fastapi_without_the_middleware_says_so_once(known, tmp_path, caplog, monkeypatch):
    from fastapi.testclient import TestClient
    from vidcache import starlette

    monkeypatch.setattr(starlette, "_warned", False)
    with TestClient(fastapi_shop(known, tmp_path, middleware=False)) as client:
        assert "ann@shop.test" in client.get("/42?email=ann@shop.test").text
        assert client.get("/me.json").json()["hubspot"]["id"] == "vid:901"
    assert caplog.text.count("add vidcache.starlette.VidcacheMiddleware") == 1


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
        VIDCACHE={"path": path, "portal_id": portal, "secret": secret, "queue": lambda job, wait: None},
        LOGGING_CONFIG=None,
    )
    django.setup()
    from django.contrib.auth import get_user_model
    from vidcache.django import has_vid
    has_vid(get_user_model())
    logging.basicConfig(stream=sys.stdout)
    from django.core.management import call_command
    from django.core import checks
    from django.contrib.auth import get_user_model
    from django.http import HttpResponse
    from django.template import engines
    from django.test import Client, override_settings
    from django.urls import path as route

    from django.http import JsonResponse
    from vidcache.django import hubspot_signed_out_data, hubspot_tracking_data

    def page(request):
        template = engines["django"].from_string("<p>{% load vidcache %}{% hubspot_tracking %}</p>")
        headers = {"Cache-Control": request.GET["now"], "ETag": '"x"', "Last-Modified": "y"} if request.GET else {}
        return HttpResponse(template.render({}, request), headers=headers)

    def out(request):
        template = engines["django"].from_string("{% load vidcache %}{% hubspot_signed_out_tag nonce='n0nce' %}")
        return HttpResponse(template.render({}, request))

    def me(request):
        return JsonResponse({"hubspot": hubspot_tracking_data(request)})

    def out_data(request):
        return JsonResponse(hubspot_signed_out_data(request))

    def plain(request):
        return HttpResponse(str(request.vidcache.resolve(42)))

    urlpatterns = [route("", page), route("plain", plain), route("out", out), route("me", me), route("out_data", out_data)]
    call_command("migrate", verbosity=0)
    assert checks.run_checks() == [], checks.run_checks()
    user = get_user_model()(pk=42, username="ann", email="ann@shop.test")
    user.set_unusable_password()
    # The file knows them already: of a row that is made now it would forget what it knows.
    get_user_model().objects.bulk_create([user])

    visitor, ann = Client(), Client()
    ann.force_login(user)
    assert visitor.get("/plain").content == b"901"
    assert not visitor.get("/plain").has_header("Cache-Control")
    answer = visitor.get("/")
    assert b"<script" in answer.content and b"vid:901" not in answer.content and not answer.has_header("Cache-Control")
    answer = ann.get("/")
    assert b"ann@shop.test" in answer.content and answer["Cache-Control"] == "private, no-store", answer.content
    answer = ann.get("/?now=public")
    assert answer["Cache-Control"] == "private, no-store" and answer.has_header("ETag")
    assert ann.get("/?now=no-store,max-age=0")["Cache-Control"] == "no-store,max-age=0"
    answer = ann.get("/out")
    assert b'"out":true' in answer.content and b' nonce="n0nce"' in answer.content, answer.content
    assert answer["Cache-Control"] == "private, no-store"
    answer = ann.get("/me")
    assert answer.json()["hubspot"]["email"] == "ann@shop.test" and answer["Cache-Control"] == "private, no-store"
    assert visitor.get("/me").json()["hubspot"].keys() == {"at", "ttl"}
    answer = ann.get("/out_data")
    assert answer.json()["out"] is True and answer["Cache-Control"] == "private, no-store"
    with override_settings(VIDCACHE={**settings.VIDCACHE, "no_store": False}):
        answer = ann.get("/?now=public")
        assert answer["Cache-Control"] == "private, no-cache"
        assert not answer.has_header("ETag") and not answer.has_header("Last-Modified")
        assert checks.run_checks() == []
    with override_settings(VIDCACHE={**settings.VIDCACHE, "user": lambda request: (42, "ann@shop.test")}):
        assert b"ann@shop.test" in visitor.get("/").content
    user.email = "ann@home.test"; user.save()
    answer = ann.get("/")
    assert b'"vid:901"' in answer.content and b"ann@" not in answer.content
    assert answer["Cache-Control"] == "private, no-store"

    for wrong, code in (({}, "E001"), ({"path": "/nowhere/x", "portal_id": 1, "secret": "x" * 16}, "E002"),
                        ({"path": 7, "portal_id": 1, "secret": "x" * 16}, "E002"),
                        ({"path": path, "portal_id": 1}, "W001"), ({"path": path, "portal_id": 1, "secret": "x"}, "E003"),
                        ({"path": path, "portal_id": 1, "secret": "é" * 7}, "E003"),
                        ({"path": path, "portal_id": 1, "secret": 7}, "E003"),
                        ({"path": path, "portal_id": 1, "secret": "x" * 16, "page_dedline": 3}, "E001"),
                        ({"path": path, "portal_id": "1", "secret": "x" * 16}, "E012"),
                        ({"path": path, "portal_id": 1, "secret": "x" * 16, "page_deadline": "3"}, "E012")):
        with override_settings(VIDCACHE={"queue": len, **wrong}):
            assert ["vidcache." + code] == [problem.id for problem in checks.run_checks()], code
            if code[0] == "E":
                assert ann.get("/").content == b"<p></p>" and ann.get("/me").json()["hubspot"] == {}
    with override_settings(MIDDLEWARE=settings.MIDDLEWARE[:2]):
        assert ["vidcache.W003"] == [problem.id for problem in checks.run_checks()]
    conditional = "django.middleware.http.ConditionalGetMiddleware"
    for middleware, off, problems in (([conditional, *settings.MIDDLEWARE], False, ["vidcache.W004"]),
                                      ([*settings.MIDDLEWARE, conditional], False, []),
                                      ([conditional, *settings.MIDDLEWARE], True, [])):
        with override_settings(MIDDLEWARE=middleware, VIDCACHE={**settings.VIDCACHE, "no_store": off}):
            assert problems == [problem.id for problem in checks.run_checks()], middleware
            other = Client()
            other.force_login(user)
            answer = other.get("/")
            assert b'"vid:901"' in answer.content and answer.has_header("ETag") == bool(problems), (middleware, off)
    # The library takes 16 bytes, in however many letters.
    with override_settings(VIDCACHE={"path": path + "-other", "portal_id": portal, "secret": "é" * 8, "queue": len}):
        assert checks.run_checks() == [] and b"<script" in ann.get("/").content
    assert b'"vid:901"' in ann.get("/").content
    print("fine")
"""


def test_django(known):
    command = [sys.executable, "-c", textwrap.dedent(DJANGO), str(known), str(PORTAL), SECRET]
    run = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert run.returncode == 0 and run.stdout.strip().endswith("fine"), run.stdout + run.stderr
    assert "the page says nothing: " in run.stdout and "ann@" not in run.stdout + run.stderr
