"""gunicorn --preload and uvicorn with workers: the cache is opened before the fork, or in each worker."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import PORTAL, SECRET

APP = f"""
import os, vidcache
cache = vidcache.Cache(os.environ["CACHE"], {PORTAL}, secret={SECRET!r})
cache.link(1, 11)
if cache.resolve(1) != 11: raise SystemExit(3)

def answer(path):
    if path == "/pid":
        return str(os.getpid())
    verb, user = path.strip("/").split("/")
    if verb == "link":
        cache.link(int(user), 10 + int(user))
    return f"{{os.getpid()}} {{cache.resolve(int(user))}}"

def wsgi(environ, start):
    body = answer(environ["PATH_INFO"]).encode()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    body = answer(scope["path"]).encode()
    await send({{"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}})
    await send({{"type": "http.response.body", "body": body}})
"""
SERVERS = {
    "gunicorn": ["gunicorn", "--preload", "--workers", "2", "--bind", "127.0.0.1:{port}", "shop:wsgi"],
    "uvicorn": ["uvicorn", "--workers", "2", "--port", "{port}", "--lifespan", "off", "shop:asgi"],
}


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def until(condition, server):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        try:
            found = condition()
        except OSError:
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it took too long")


@pytest.mark.parametrize("name", SERVERS)
def test_workers_share_the_file(name, tmp_path):
    (tmp_path / "shop.py").write_text(APP)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", *(part.format(port=port) for part in SERVERS[name])]
    env = {**os.environ, "CACHE": str(tmp_path / "cache")}
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        seen = set()

        def two_workers():
            seen.add(get(port, "/pid"))
            return len(seen) == 2

        until(two_workers, server)
        for user in range(2, 40):
            assert get(port, f"/link/{user}").split()[1] == str(10 + user)
            # Whichever worker this is, it knows at once.
            assert get(port, f"/resolve/{user}").split()[1] == str(10 + user)
        answered = set()

        def both_know():
            pid, vid = get(port, "/resolve/7").split()
            assert vid == "17"
            answered.add(pid)
            return len(answered) == 2

        until(both_know, server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=30)
