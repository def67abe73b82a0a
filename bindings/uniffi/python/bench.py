"""What bin/bench measures in Python: the package beside a dict, and beside what Python apps use today.

    python bench.py FOLDER FACTS [--quick]

FOLDER holds the files that the Rust part has filled. One line of JSON for each figure goes to FACTS.
"""

import gc
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import vidcache

PORTAL = 62515
SECRET = "thirty-two bytes kept out of it."


class Subject:
    """`code` is what is timed, with `key` (of `keys`, in turn) and `on` to work with: text, so that no call is timed
    along.

    `whole`: it takes all of `keys` at once.
    """

    def __init__(self, name, code, on, keys, count=None, baseline=None, whole=False):
        self.name, self.on, self.keys, self.count, self.baseline = name, on, keys, count or len(keys), baseline
        self.loop, self.empty = (timed(text if whole else f"for key in keys: {text}") for text in (code, "pass"))

    def nanoseconds(self, turn):
        # Slow subjects take a part of the keys, another one in each round.
        at = turn * self.count % (len(self.keys) - self.count + 1)
        keys = self.keys[at : at + self.count]
        # Once unmeasured where that is cheap: so that the keys are where they would be in a busy process.
        if self.count >= 10_000:
            self.loop(keys, self.on)
        return (self.loop(keys, self.on) - self.empty(keys, self.on)) / self.count


def timed(code):
    names = {"clock": time.perf_counter_ns}
    exec(f"def loop(keys, on):\n start = clock()\n {code}\n return clock() - start", names)
    return names["loop"]


class Rounds:
    """Medians of rounds: in each every subject has its turn, and a ratio is one of neighbours in time."""

    def __init__(self, facts, rounds):
        self.facts, self.rounds, self.subjects = facts, rounds, []

    def add(self, *given, **options):
        self.subjects.append(Subject(*given, **options))

    def fact(self, name, **values):
        print(json.dumps({"id": name, **values}), file=self.facts)

    def run(self):
        times = {subject.name: [] for subject in self.subjects}
        gc.disable()
        for turn in range(self.rounds):
            gc.collect()
            first = turn % len(self.subjects)
            for subject in self.subjects[first:] + self.subjects[:first]:
                times[subject.name].append(subject.nanoseconds(turn))
        gc.enable()
        for subject in self.subjects:
            own, base = times[subject.name], times.get(subject.baseline)
            values = {"median_ns": statistics.median(own)}
            if base:
                values["baseline"] = statistics.median(base)
                values["ratio"] = statistics.median(time / other for time, other in zip(own, base))
            self.fact(subject.name, **values)


def main(folder, facts, quick):
    with open(os.path.join(folder, "hot-users")) as lines:
        users = [(int(number), uuid, int(vid), email) for number, uuid, vid, email in map(str.split, lines)]
    rounds = Rounds(facts, 11 if quick else 41)
    rounds.fact("versions", python=platform.python_version())
    by_int = vidcache.Cache(os.path.join(folder, "int.vidcache"), PORTAL, secret=SECRET)
    by_text = vidcache.Cache(os.path.join(folder, "uuid.vidcache"), PORTAL, secret=SECRET)
    ids, texts, vids, emails = map(list, zip(*users))
    # Every user once, so that what is measured comes from memory.
    assert [by_int.resolve(key) for key in ids] == vids and [by_text.resolve(key) for key in texts] == vids
    assert by_int.decide(ids[0], emails[0]).agreed and emails[0] in by_int.snippet(ids[0], emails[0])

    # A dict keeps its entries in the order they came in. Looked up in that same order, they would come out of memory
    # one after the other, which no app sees.
    in_order = sorted(users)
    known = {number: vid for number, _, vid, _ in in_order}
    rounds.add("baseline_dict_int", "on[key]", known, ids)
    # With keys of its own: nobody looks up the very object that a dict has.
    rounds.add("baseline_dict_str", "on[key]", {"".join(list(text)): vid for _, text, vid, _ in in_order}, texts)
    rounds.add("python_resolve_int", "on.resolve(key)", by_int, ids, baseline="baseline_dict_int")
    rounds.add("python_resolve_str", "on.resolve(key)", by_text, texts, baseline="baseline_dict_str")
    # As many as a page lists: more than 256 are read from the file, as of one commit.
    many = "for at in range(0, len(keys), 100): on.resolve_many(keys[at : at + 100])"
    rounds.add("python_resolve_many", many, by_int, ids, baseline="baseline_dict_int", whole=True)
    pairs = list(zip(ids, emails))
    rounds.add("python_decide", "on.decide(key[0], key[1])", by_int, pairs, count=10_000)
    rounds.add("python_snippet", "on.snippet(key[0], key[1], nonce='r4nd0m')", by_int, pairs, count=10_000)

    with tempfile.TemporaryDirectory() as sockets:
        table = sqlite(os.path.join(sockets, "peer.sqlite3"), known)
        query = "on.execute('SELECT vid FROM users WHERE id = ?', (key,)).fetchone()"
        rounds.add("peer_python_sqlite3", query, table, ids, count=2_000, baseline="baseline_dict_int")
        client, stop = redis(sockets, known)
        if client:
            rounds.add("peer_redis_py", "on.get(key)", client, ids, count=500, baseline="baseline_dict_int")
        else:
            rounds.fact("peer_redis_py", skipped="there is no redis-server")
        try:
            rounds.run()
        finally:
            stop()
            table.close()
    by_int.close()
    by_text.close()


def sqlite(path, known):
    table = sqlite3.connect(path)
    table.execute("PRAGMA journal_mode = WAL")
    table.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, vid INTEGER NOT NULL)")
    table.executemany("INSERT INTO users VALUES (?, ?)", known.items())
    table.commit()
    return table


def redis(folder, known):
    """A client of a server of its own that has the users, and what stops it; None where there is no server."""
    if not shutil.which("redis-server"):
        return None, lambda: None
    import redis

    path = os.path.join(folder, "redis.sock")
    command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def stop():
        server.terminate()
        server.wait()

    client = redis.Redis(unix_socket_path=path)
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            if server.poll() is not None:
                raise
            time.sleep(0.01)
    client.mset(known)
    return client, stop


with open(sys.argv[2], "w") as facts:
    main(sys.argv[1], facts, "--quick" in sys.argv)
