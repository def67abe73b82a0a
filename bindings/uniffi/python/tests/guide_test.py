"""docs/guides/python.md: its blocks run, one after another, as a reader would type them."""

import re
import time
from pathlib import Path

import vidcache

GUIDE = Path(__file__).parents[4] / "docs/guides/python.md"
ANSWER = '{"id":"901","properties":{"email":"ann@home.test"},"updatedAt":"2026-03-01T10:05:00.000Z"}'


class Users:
    def update(self, user, email):
        self.kept = email

    def email(self, user):
        return self.kept


class Queue(list):
    def push(self, *job):
        self.append(job)


class Hubspot:
    def create(self, email):
        return ANSWER


def test_the_blocks_of_the_guide_run_and_its_worker_comes_again_while_it_is_too_early(tmp_path):
    found = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    opened, change, worker, webhook, tests = found
    queue = Queue()
    app = {"secret": "thirty-two bytes kept out of it.", "users": Users(), "queue": queue, "hubspot": Hubspot(), "time": time}
    exec(opened.replace("/var/lib/shop", str(tmp_path)), app)
    with app["cache"] as cache:
        exec(change, app)
        assert queue == [(42, app["change"])]
        exec(worker, app)
        assert len(queue) == 2, "too early"
        # As if the change had begun an hour ago.
        exec(worker.replace("time.time() <", "time.time() + 3600 <"), app)
        assert cache.resolve(42) == 901
        assert not cache.is_change_outstanding(42, app["change"])
        assert "vidcache.verify_signature(client_secret, method=" in webhook
        exec(tests, app)
