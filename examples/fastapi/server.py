"""A small shop: customers sign in, look at pages, and change their email."""

import html
import json
import os
import re
import secrets
import urllib.parse
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from hubspot import Hubspot
from shop import Shop
from vidcache import Cache
from vidcache.starlette import VidcacheMiddleware, tracking_html


def env(name, otherwise):
    return os.environ.get(name, otherwise)


PORTAL = int(env("HUBSPOT_PORTAL", "62515"))
USUAL = env("SNIPPET", "vidcache") == "usual"
DATA = env("DATA_DIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "storage"))
sessions = {}


@asynccontextmanager
async def lifespan(app):
    os.makedirs(DATA, mode=0o700, exist_ok=True)
    secret = env("VIDCACHE_SECRET", "a secret that a real shop keeps elsewhere")
    deadline = float(env("PAGE_DEADLINE", "10"))
    with Cache(os.path.join(DATA, "hubspot.vidcache"), PORTAL, secret=secret, page_deadline=deadline) as cache:
        hubspot = Hubspot(env("HUBSPOT_API", "https://api.hubapi.com"), env("HUBSPOT_TOKEN", ""))
        app.state.vidcache = cache
        quiet = os.environ.get("QUIET_PERIOD")
        app.state.shop = Shop(os.path.join(DATA, "users.json"), cache, hubspot, USUAL, quiet and float(quiet))
        await run_in_threadpool(app.state.shop.prepare, int(env("USERS", "5")))
        yield


app = FastAPI(lifespan=lifespan)
# Keeps pages that name their visitor from caches.
app.add_middleware(VidcacheMiddleware)


def tracking(request, user, nonce):
    """HubSpot's snippet: what this is about. The page goes out whatever becomes of it."""
    if not USUAL:
        return tracking_html(app.state.vidcache, user["id"], user["email"], nonce, request=request)
    email = json.dumps(user["email"]).replace("<", "\\u003c")
    return (
        f'<script nonce="{nonce}">var _hsq = window._hsq = window._hsq || []; _hsq.push(["identify", {{email: {email}}}]);</script>'
        f'<script id="hs-script-loader" async defer src="//js.hs-scripts.com/{PORTAL}.js"></script>'
    )


def page(request, user, title, body):
    nonce = secrets.token_urlsafe(16)
    policy = f"script-src 'nonce-{nonce}' 'strict-dynamic'; img-src 'self' https://track.hubspot.com"
    text = f"<!DOCTYPE html><title>{title}</title><h1>{title}</h1>{body}{tracking(request, user, nonce) if user else ''}"
    return HTMLResponse(text, headers={"content-security-policy": policy})


async def form(request, name):
    body = await request.body()
    return dict(urllib.parse.parse_qsl(body.decode())).get(name, "")


def signed_in(request):
    return sessions.get(request.cookies.get("session"))


SIGN_IN = '<form action="/sign_in" method="post"><input name="login"><button>Sign in</button></form>'


@app.get("/up")
def up():
    return Response()


@app.get("/jobs")
def jobs():
    return {"pending": app.state.shop.pending}


@app.get("/sign_in")
def ask(request: Request):
    return page(request, None, "Sign in", SIGN_IN)


@app.post("/sign_in")
async def sign_in(request: Request):
    found = app.state.shop.by_login(await form(request, "login"))
    if not found:
        return page(request, None, "There is no such customer", SIGN_IN)
    session = secrets.token_hex(16)
    sessions[session] = found
    answer = RedirectResponse("/", 303)
    answer.set_cookie("session", session, httponly=True, samesite="lax")
    return answer


@app.post("/settings")
async def change(request: Request):
    user = signed_in(request)
    if not user:
        return RedirectResponse("/sign_in", 303)
    email = (await form(request, "email")).strip().lower()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        return page(request, user, "That is no email address", '<a href="/settings">Settings</a>')
    # It waits for the disk.
    await run_in_threadpool(app.state.shop.change_email, user, email)
    return RedirectResponse("/settings", 303)


@app.get("/settings")
def settings(request: Request):
    user = signed_in(request)
    if not user:
        return RedirectResponse("/sign_in", 303)
    field = f'<input name="email" type="email" value="{html.escape(user["email"])}">'
    return page(request, user, "Settings", f'<form action="/settings" method="post">{field}<button>Change it</button></form>')


@app.get("/")
def home(request: Request):
    user = signed_in(request)
    return page(request, user, f"Welcome, {user['login']}", '<a href="/settings">Settings</a>') if user else RedirectResponse("/sign_in", 303)


@app.get("/pages/{number}")
def some_page(request: Request, number: int):
    user = signed_in(request)
    return page(request, user, f"Page {number}", "<p>Nothing is sold here.</p>") if user else RedirectResponse("/sign_in", 303)
