"""What a call costs from Python: one line of JSON each, the nanoseconds of the median of eleven rounds.

    python bench.py [--check]

`--check` ends with 1 when a target is missed. redis-py is left out where there is no redis-server.
"""

import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

import vidcache

USERS = 10_000
EMAIL = "user@shop.test"
missed = []


def measure(name, work, each=1, target=None):
    """`work` makes `each` answers a call."""
    rounds = []
    for _ in range(11):
        start = time.perf_counter_ns()
        work()
        rounds.append((time.perf_counter_ns() - start) / each)
    figure = {"call": name, "ns": round(statistics.median(rounds))}
    if target:
        figure["target_ns"] = target
        figure["ok"] = figure["ns"] <= target
        if not figure["ok"]:
            missed.append(name)
    print(json.dumps(figure))


def each_of(keys, look):
    def work():
        for key in keys:
            look(key)

    return work


def main():
    with tempfile.TemporaryDirectory() as folder:
        cache = vidcache.Cache(os.path.join(folder, "bench"), 62515, secret="thirty-two bytes kept out of it.")
        # 1793000000000: a time.
        cache.import_users([vidcache.ImportRow(n, n, EMAIL, 1793000000000) for n in range(1, USERS + 1)])
        texts = [f"user-{n}" for n in range(1, USERS + 1)]
        cache.import_users([vidcache.ImportRow(text, USERS + n) for n, text in enumerate(texts, 1)])
        ids = list(range(1, USERS + 1))
        assert cache.resolve_many(ids) == ids and cache.resolve(7) == 7 and cache.resolve("user-1") == USERS + 1

        known = {n: n for n in ids}
        measure("dict get", each_of(ids, known.get), USERS)
        measure("resolve int", each_of(ids, cache.resolve), USERS, 3_000)
        measure("resolve str", each_of(texts, cache.resolve), USERS, 3_000)
        measure("resolve_many int, a key", lambda: cache.resolve_many(ids), USERS, 1_000)
        measure("resolve_many str, a key", lambda: cache.resolve_many(texts), USERS, 1_000)
        some = ids[:1000]
        measure("decide", each_of(some, lambda n: cache.decide(n, EMAIL)), 1000)
        measure("decide_many, a key", lambda: cache.decide_many([(n, EMAIL) for n in some]), 1000)
        measure("snippet", each_of(some, lambda n: cache.snippet(n, EMAIL)), 1000)

        table = sqlite3.connect(os.path.join(folder, "peer"))
        table.execute("PRAGMA journal_mode=WAL")
        table.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, vid INTEGER)")
        table.executemany("INSERT INTO t VALUES (?, ?)", known.items())
        table.commit()
        query = "SELECT vid FROM t WHERE id = ?"
        measure("sqlite3 select", each_of(some, lambda n: table.execute(query, (n,)).fetchone()), 1000)
        table.close()
        if shutil.which("redis-server"):
            beside_redis(os.path.join(folder, "redis"), some)
        else:
            print("redis-py: left out because there is no redis-server")
        cache.close()


def beside_redis(path, keys):
    import redis

    command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", os.path.dirname(path)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(unix_socket_path=path)
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                if server.poll() is not None:
                    raise
                time.sleep(0.01)
        client.mset({str(n): n for n in keys})
        measure("redis-py get", each_of(keys, client.get), len(keys))
    finally:
        server.terminate()
        server.wait()


main()
if missed and "--check" in sys.argv:
    sys.exit(f"missed: {', '.join(missed)}")
