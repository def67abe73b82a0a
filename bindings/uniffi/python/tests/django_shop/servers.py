"""Servers that tests start beside the app: a Redis of their own, and how they wait for one."""

import socket
import subprocess
import time


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def start_redis(folder):
    """Of which nothing is kept. Returns its process and its address; it answers a little later."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL), f"redis://127.0.0.1:{port}/0"


def until(done, *errors, otherwise="it does not come about", limit=60):
    """Asks again and again, where one of these errors is a no, for so many seconds."""
    end = time.monotonic() + limit
    while True:
        try:
            if done():
                return
        except errors:
            pass
        assert time.monotonic() < end, otherwise
        time.sleep(0.02)
