"""A real Django app adopted by the guide, docs/guides/django.md: Mailman's Postorius, whose users are Django's own and
whose accounts are allauth's. Its own pages over HTTP, from gunicorn; jobs in Celery; HubSpot is the double. What was
done to Postorius stands in `django_postorius`. """

import http.client
import http.cookiejar
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest
import vidcache
from django_shop.servers import free_port, start_redis, until

HERE = Path(__file__).parent / "django_postorius"
DOUBLE = Path(__file__).parents[4] / "tests/hubspot/server.mjs"
NEEDED = ("postorius", "allauth", "celery", "redis", "gunicorn")
PORTAL, SECRET = 62515, "thirty-two bytes kept out of it."
QUIET = 2.0
LIMIT = 120.0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"skipped because {' and '.join(missing)} is not installed: bin/matrix debian-13 has Debian's Postorius")
    for program in ("node", "redis-server"):
        if shutil.which(program) is None:
            pytest.skip(f"skipped because {program} is not installed")
    site = Site(tmp_path_factory.mktemp("postorius"))
    yield site
    site.stop()


class Site:
    """Postorius, its worker and HubSpot."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.hubspot = self.broker = ""
        (folder / "mail").mkdir()
        self.log = (folder / "log").open("w+")
        double = self.start("node", DOUBLE, "--portal", str(PORTAL), "--delay-ms", "100", stdout=subprocess.PIPE)
        self.hubspot = json.loads(double.stdout.readline())["url"]
        redis, self.broker = start_redis(folder)
        self.processes.append(redis)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.manage("migrate", "--verbosity", "0")
        assert "vidcache" not in self.manage("check")
        # Two, so that a page is not of the process that took the change.
        self.start(sys.executable, "-m", "gunicorn", "--workers", "2", "--threads", "2", "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "lists.wsgi")
        self.start(sys.executable, "-m", "celery", "--app", "lists", "worker", "--pool", "solo", "--loglevel", "warning")
        until(self.answers, otherwise="Postorius does not answer", limit=LIMIT)

    def environment(self):
        found = {"FOLDER": str(self.folder), "HUBSPOT_API": self.hubspot, "REDIS_URL": self.broker}
        return {**os.environ, **found, "DJANGO_SETTINGS_MODULE": "lists.settings"}

    def start(self, *command, **more):
        process = subprocess.Popen(command, cwd=HERE, env=self.environment(), **{"stdout": self.log, "stderr": self.log, **more})
        self.processes.append(process)
        return process

    def manage(self, *command):
        done = subprocess.run([sys.executable, "manage.py", *command], cwd=HERE, env=self.environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()
            if process.stdout:
                process.stdout.close()
        self.log.close()

    def answers(self):
        try:
            return Visitor(self).get("/accounts/login/") == 200
        except (urllib.error.URLError, http.client.HTTPException, OSError):
            return False

    def at_hubspot(self):
        """What the double holds: the contacts' emails, and how many are one person's second one."""
        with urllib.request.urlopen(f"{self.hubspot}/_double/state") as answer:
            state = json.load(answer)
        return [contact["email"] for contact in state["contacts"]], state["duplicates"]

    def holds(self, email):
        return email in self.at_hubspot()[0]

    def link_in_mail_to(self, address):
        """The link of the newest mail to that address."""
        for file in sorted((self.folder / "mail").iterdir(), key=lambda one: one.stat().st_mtime_ns, reverse=True):
            # Several mails of one process may be in one file.
            for mail in reversed(file.read_text().split("-" * 79)):
                link = re.search(r"http://127\.0\.0\.1:\d+(/accounts/confirm-email/\S+)", mail)
                if f"To: {address}" in mail and link:
                    return link[1]
        raise AssertionError("there is no mail")


class Visitor:
    """A browser, as far as forms go."""

    def __init__(self, site):
        self.site = site
        self.jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.page = ""

    def get(self, path):
        return self._ask(path, None)

    def post(self, path, **fields):
        """Fetches the page with the form first, as whoever fills it in does. Returns the status."""
        self.get(path)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.page)[1]
        return self._ask(path, urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode())

    def _ask(self, path, body):
        request = urllib.request.Request(self.site.url + path, body, {"Referer": self.site.url + path})
        try:
            with self.opener.open(request, timeout=LIMIT) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        self.page = text.decode()
        return status

    @property
    def said(self):
        """What the page tells HubSpot of its visitor. A page without the tag fails."""
        (data,) = re.findall(r"\(window,document,(\{.*\})\);</script>", self.page)
        return {name: value for name, value in json.loads(data).items() if name in ("id", "email") and value}


def sign_up(site, name):
    """Fills the form in. Returns the visitor, who is not signed in: Postorius waits for the address to be confirmed."""
    visitor = Visitor(site)
    visitor.post("/accounts/signup/", username=name, email=f"{name}@shop.test", password1="correct horse", password2="correct horse")
    return visitor


def confirm(site, visitor, address):
    visitor.post(site.link_in_mail_to(address))


def sign_in(visitor, name):
    visitor.post("/accounts/login/", login=name, password="correct horse")
    visitor.get("/user-profile/")
    assert f'value="{name}"' in visitor.page, visitor.page


def named(site, name):
    """Who has signed up, and is named by pages."""
    visitor = sign_up(site, name)
    confirm(site, visitor, f"{name}@shop.test")
    sign_in(visitor, name)
    until_named(visitor, f"{name}@shop.test")
    return visitor


def until_named(visitor, email):
    def is_named():
        visitor.get("/user-profile/")
        return visitor.said.get("email") == email

    until(is_named, otherwise=f"no page names {email}", limit=LIMIT)


def named_only_as_hubspot_has_it(site, visitor):
    """Looks at four pages, and returns what the last one said. Asked for after the page: what HubSpot does not hold
    now, it did not hold when the page was made. """
    for path in ("/user-profile/", "/accounts/email/", "/accounts/password/change/", "/postorius/lists/"):
        visitor.get(path)
        email = visitor.said.get("email")
        assert email is None or site.holds(email), f"{path} names {email}"
    return visitor.said


def key_of(site, name):
    with closing(sqlite3.connect(site.folder / "lists.sqlite3")) as database:
        return database.execute("SELECT id FROM auth_user WHERE username = ?", (name,)).fetchone()[0]


def with_file(site, ask):
    with vidcache.Cache(site.folder / "hubspot.vidcache", PORTAL, secret=SECRET, page_deadline=1) as cache:
        return ask(cache)


def changes(site):
    """Of anybody: how many changes HubSpot has not been told of."""
    return len(with_file(site, lambda cache: cache.stale_changes(older_than=0, limit=100)))


def test_who_signs_up_is_told_of_and_named_once_their_address_is_confirmed(site):
    stranger = Visitor(site)
    stranger.get("/accounts/login/")
    assert stranger.said == {}
    visitor = sign_up(site, "ann")
    visitor.get("/accounts/login/")
    # Whoever typed that address need not be the person who has it.
    time.sleep(QUIET)
    assert visitor.said == {} and not site.holds("ann@shop.test")
    assert with_file(site, lambda cache: cache.resolve(key_of(site, "ann"))) is None
    confirm(site, visitor, "ann@shop.test")
    sign_in(visitor, "ann")
    said = named_only_as_hubspot_has_it(site, visitor)
    while said.get("email") is None:
        said = named_only_as_hubspot_has_it(site, visitor)
    assert said["email"] == "ann@shop.test"
    emails, duplicates = site.at_hubspot()
    assert emails.count("ann@shop.test") == 1 and not duplicates


def test_another_primary_address_is_named_once_hubspot_holds_it_and_no_sooner(site):
    visitor = named(site, "bob")
    before = visitor.said
    visitor.post("/accounts/email/", email="bob@home.test", action_add="")
    assert "bob@home.test" in visitor.page and visitor.said == before, "a second address is not the user's email"
    confirm(site, visitor, "bob@home.test")
    visitor.get("/accounts/email/")
    assert visitor.said == before and changes(site) == 0 and not site.holds("bob@home.test")

    changed_at = time.monotonic()
    visitor.post("/accounts/email/", email="bob@home.test", action_primary="")
    assert visitor.said == {"id": before["id"]}, "the page that the change redirects to"
    while not site.holds("bob@home.test"):
        assert time.monotonic() - changed_at < LIMIT
        named_only_as_hubspot_has_it(site, visitor)
    assert time.monotonic() - changed_at >= QUIET
    until_named(visitor, "bob@home.test")
    assert visitor.said == {"id": before["id"], "email": "bob@home.test"}
    emails, duplicates = site.at_hubspot()
    assert "bob@shop.test" not in emails and emails.count("bob@home.test") == 1 and not duplicates

    # And the first of them away: it is nobody's now, and nothing to HubSpot.
    visitor.post("/accounts/email/", email="bob@shop.test", action_remove="")
    assert "bob@shop.test" not in re.sub(r'class="alert.*?</div>', "", visitor.page, flags=re.S)
    assert visitor.said == {"id": before["id"], "email": "bob@home.test"} and changes(site) == 0


def test_there_and_back_again_names_nobody_until_hubspot_has_answered_for_both(site):
    visitor = named(site, "cat")
    key = visitor.said["id"]
    visitor.post("/accounts/email/", email="cat@home.test", action_add="")
    confirm(site, visitor, "cat@home.test")
    for address in ("cat@home.test", "cat@shop.test"):
        visitor.post("/accounts/email/", email=address, action_primary="")
        # The second time HubSpot holds the very email that the app has, and a job is on its way to change that.
        assert visitor.said == {"id": key}
    assert changes(site)
    until_named(visitor, "cat@shop.test")
    assert changes(site) == 0
    emails, duplicates = site.at_hubspot()
    assert emails.count("cat@shop.test") == 1 and "cat@home.test" not in emails and not duplicates


def test_a_profile_that_is_saved_begins_no_change(site):
    visitor = named(site, "dan")
    visitor.post("/user-profile/", username="dan", first_name="Daniel", last_name="Shop", timezone="UTC")
    assert 'value="Daniel"' in visitor.page and visitor.said["email"] == "dan@shop.test" and changes(site) == 0


def test_who_signs_out_is_nobody_and_the_next_in_that_browser_is_themselves(site):
    named(site, "fay")
    visitor = named(site, "eve")
    ids = {visitor.said["id"]}
    visitor.post("/accounts/logout/")
    visitor.get("/accounts/login/")
    assert visitor.said == {}
    sign_in(visitor, "fay")
    assert visitor.said["email"] == "fay@shop.test"
    assert len(ids | {visitor.said["id"]}) == 2


def test_who_deletes_their_account_is_forgotten(site):
    visitor = named(site, "gus")
    key = key_of(site, "gus")
    assert with_file(site, lambda cache: cache.resolve(key))
    visitor.post("/user-profile/delete")
    visitor.get("/accounts/login/")
    assert visitor.said == {}
    assert with_file(site, lambda cache: cache.resolve(key)) is None
    # HubSpot keeps the contact: that is for the company to decide.
    assert site.holds("gus@shop.test")
