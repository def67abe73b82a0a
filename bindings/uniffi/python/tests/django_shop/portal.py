"""HubSpot's double as a server of the tests' own, and the queue that the jobs are taken from."""

import json
import os
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

import django_shop
import vidcache.django
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from vidcache.django.contact_job import perform

DOUBLE = Path(__file__).parents[5] / "tests/hubspot/server.mjs"
MISSING = json.dumps({"status": "error", "message": "resource not found", "category": "OBJECT_NOT_FOUND"})


class Portal:
    """The double: what is at HubSpot, and what it answers with next."""

    def __init__(self):
        node = shutil.which("node")
        if node is None:
            pytest.skip("skipped because Node is not installed")
        command = [node, DOUBLE, "--portal", str(django_shop.PORTAL), "--delay-ms", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ})
        self.url = json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, method, path, body=None):
        headers = {"Authorization": "Bearer t", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def reset(self):
        self.ask("POST", "/_double/reset")
        self.ask("PUT", "/_double/config", {"outages": [], "rate_limit_next": 0, "v3_conflict": "409", "required_property": ""})

    def add(self, email):
        return int(self.ask("POST", "/crm/v3/objects/contacts", {"properties": {"email": email}})["id"])

    def update(self, vid, email):
        self.ask("PATCH", f"/crm/v3/objects/contacts/{vid}", {"properties": {"email": email}})

    def merge(self, primary, other):
        body = {"primaryObjectId": str(primary), "objectIdToMerge": str(other)}
        return int(self.ask("POST", "/crm/v3/objects/contacts/merge", body)["id"])

    def delete(self, vid):
        self.ask("DELETE", f"/contacts/v1/contact/vid/{vid}")

    def emails(self):
        return sorted(contact["email"] for contact in self.ask("GET", "/_double/state")["contacts"])

    def answer_with(self, *outages):
        """What stands in the place of the next answers: statuses, or an outage of the double's."""
        found = [{"status": 404, "body": MISSING} if one == 404 else {"status": one} if isinstance(one, int) else one for one in outages]
        self.ask("PUT", "/_double/config", {"outages": found})

    def lose(self):
        """Carries the next call out, and its answer is lost."""
        self.answer_with({"status": 502, "carried_out": True})


def drain(most=40):
    """Performs the jobs in the order in which they are due, as a queue that waits. Returns how many."""
    for count in range(most):
        if not django_shop.QUEUE:
            return count
        perform_next()
    raise AssertionError("the jobs do not end")


def perform_next():
    django_shop.QUEUE.sort(key=lambda one: one[1])
    job, due = django_shop.QUEUE.pop(0)
    # Due, whatever the clock says.
    job = {name: value for name, value in json.loads(json.dumps(job)).items() if name != "at"}
    again = perform(job)
    if again is not None:
        django_shop.QUEUE.append((again.payload, due + again.wait))
    return again


def configure(patch, **more):
    """VIDCACHE for a test; `patch` is pytest's."""
    fresh = "path" in more
    if fresh and django_shop.POSTGRES:
        del more["path"]
        django_shop.empty_tables()
    patch.setattr(settings, "VIDCACHE", {**settings.VIDCACHE, "access_token": "t", **more})
    if fresh:
        patch.setattr(vidcache.django, "_cache", None)


def wait_for_the_clock():
    """The file's clock counts milliseconds."""
    time.sleep(0.003)


@pytest.fixture(scope="module")
def double():
    """A double, and the app's tables, for the tests of one file."""
    portal = Portal()
    call_command("migrate", run_syncdb=True, verbosity=0)
    yield portal
    portal.stop()


def signed_up(email="ann@shop.test"):
    """A user whom HubSpot knows."""
    user = get_user_model().objects.create(username=email, email=email)
    drain()
    wait_for_the_clock()
    return user
