"""The cases of tests/conformance, which every language replays: here once by each of its ways into the library."""

import json
import time
from pathlib import Path

import pytest
import vidcache
from conftest import PORTAL, SECRET, by_uniffi_alone

FOLDER = Path(__file__).parents[4] / "tests" / "conformance"
CODES = json.loads((FOLDER / "codes.json").read_text())
CASES = [
    pytest.param(case["steps"], id=f"{file.stem}: {case['name']}")
    for file in sorted(FOLDER.glob("*.json"))
    if file.name != "codes.json"
    for case in json.loads(file.read_text())["cases"]
]


def test_every_code_has_its_class_with_its_number():
    classes = {kind.code: kind.number for kind in vidcache.VidcacheError.__subclasses__()}
    assert classes == {name: code["number"] for name, code in CODES.items()}
    for kind in vidcache.VidcacheError.__subclasses__():
        assert getattr(vidcache, kind.__name__) is kind


@pytest.mark.parametrize("way", ["direct", "uniffi"])
@pytest.mark.parametrize("steps", CASES)
def test_case(steps, way, tmp_path, monkeypatch):
    if way == "uniffi":
        by_uniffi_alone(monkeypatch)
    runner = Runner(tmp_path)
    try:
        for number, step in enumerate(steps, 1):
            runner.replay(step, f"step {number}")
    finally:
        runner.cache.close()


class Runner:
    def __init__(self, folder):
        self.folder, self.changes, self.cache = folder, {}, None
        self.open({})

    def replay(self, step, place):
        try:
            found = self.call(step)
        except vidcache.VidcacheError as error:
            assert error.code == step.get("fails"), f"{place}: {error}"
            return
        assert "fails" not in step, f"{place}: {found!r}, and not {step['fails']}"
        if "gives" not in step:
            return
        expected = step["gives"]
        if isinstance(expected, dict) and isinstance(found, str):
            assert all(text in found for text in expected.get("has", [])), place
            assert not any(text in found for text in expected.get("lacks", [])), place
        elif isinstance(expected, dict):
            assert found is not None, place
            assert {name: found[name] for name in expected} == expected, place
        else:
            assert found == expected, place

    def call(self, step):
        cache, user = self.cache, text(step.get("user"))
        name = step["call"]
        if name == "open":
            return self.open(step)
        if name == "close":
            return cache.close()
        if name == "write":
            return (self.folder / step["file"]).write_text(step["text"])
        if name == "patch":
            with open(self.folder / step["file"], "r+b") as file:
                file.seek(step["at"])
                return file.write(bytes.fromhex(step["hex"]))
        if name == "resolve":
            found = cache.identity(user)
            vid = cache.resolve(user)
            assert vid == (found and found.vid) and cache.resolve_many([user]) == [vid]
            return found and vars(found)
        if name == "decide":
            email = text(step.get("email"))
            found = cache.decide(user, email)
            assert cache.decide_many([(user, email)]) == [found]
            return vars(found)
        if name == "snippet":
            if "user" not in step:
                return cache.anonymous_snippet(nonce=step.get("nonce"))
            return cache.snippet(user, text(step.get("email")), nonce=step.get("nonce"))
        if name == "signed_out_snippet":
            return cache.signed_out_snippet(nonce=step.get("nonce"))
        if name == "page_data":
            return page_data(cache.page_data(user, text(step.get("email"))) if "user" in step else cache.anonymous_page_data())
        if name == "signed_out_page_data":
            return page_data(cache.signed_out_page_data())
        if name == "quiet_period":
            return cache.quiet_period() * 1000
        if name == "link":
            return cache.link(user, step["vid"])
        if name == "link_shared":
            return cache.link_shared(user, step["vid"])
        if name == "resolve_many":
            return cache.resolve_many(step["users"])
        if name == "decide_many":
            return [found.reason for found in cache.decide_many(zip(step["users"], step["emails"]))]
        if name == "explain":
            return str(cache.explain(user, text(step.get("email"))))
        if name == "export":
            return cache.export(user)
        if name == "forget":
            return cache.forget(user)
        if name == "record":
            return vars(cache.record(user, body(step), change=self.change(step)))
        if name == "observe":
            return {name: list(vids) for name, vids in vars(cache.observe(body(step))).items()}
        if name == "apply_webhook":
            return vars(cache.apply_webhook(body(step)))
        if name == "begin_email_change":
            self.changes[step["as"]] = cache.begin_email_change(user)
            return None
        if name == "abandon_email_change":
            return cache.abandon_email_change(user, self.change(step))
        if name == "is_change_outstanding":
            return cache.is_change_outstanding(user, self.change(step))
        if name == "change_outstanding_since":
            since = cache.change_outstanding_since(user, self.change(step))
            assert since is None or 0 <= time.time_ns() // 1_000_000 - since < 60_000
            return since is not None
        if name == "stale_changes":
            began = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 <= began:
                pass
            return [change.user for change in cache.stale_changes(older_than=0)]
        if name == "import":
            rows = [
                vidcache.ImportRow(row["user"], row["vid"], row.get("email"), row.get("at") or 0)
                for row in step["rows"]
            ]
            return vars(cache.import_users(rows))
        if name == "verify":
            return len(cache.verify())
        raise AssertionError(f"no such call: {name}")

    def open(self, step):
        if self.cache:
            self.cache.close()
        options = {"page_deadline": step["page_deadline_ms"] / 1000} if "page_deadline_ms" in step else {}
        file, portal = self.folder / step.get("file", "cache"), step.get("portal", PORTAL)
        self.cache = vidcache.Cache(file, portal, secret=step.get("secret", SECRET), **options)

    def change(self, step):
        given = step.get("change")
        return self.changes[given] if isinstance(given, str) else given


def page_data(found):
    """Of this moment, and with null for what it has not."""
    assert type(found["at"]) is int and 0 <= time.time_ns() // 1_000_000 - found["at"] < 60_000
    assert type(found["ttl"]) is int and found.keys() <= {"at", "ttl", "id", "email", "out"}
    return {"id": None, "email": None, "out": None, **found}


def body(step):
    return json.dumps(step["answer"]) if "answer" in step else text(step["body"])


def text(value):
    if not isinstance(value, dict):
        return value
    # What is not UTF-8 comes into a str as surrogates.
    return bytes.fromhex(value["hex"]).decode(errors="surrogateescape") if "hex" in value else value["text"] * value["times"]
