"""A PostgreSQL of the tests' own, reached by a socket."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

# Debian has a folder for each version.
PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: float(found.parent.name), default=Path("/no-postgresql"))


class Postgres:
    """`settings`: for DATABASES."""

    def __init__(self):
        # Of its own: pytest's folders are for one user, and PostgreSQL does not run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="vidcache-pg-", dir="/tmp"))
        self._as_user = {}
        if os.geteuid() == 0:
            self._as_user = {"user": "postgres"}
            shutil.chown(self.folder, "postgres")
        self._run("initdb", "-A", "trust", "-U", "shop", "--no-sync")
        self.start()
        self.settings = {"ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "shop", "HOST": str(self.folder)}

    def _run(self, program, *options):
        command = [PROGRAMS / program, "-D", self.folder / "data", *options]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as_user)

    def start(self):
        options = f"-F -c listen_addresses='' -k {self.folder}"
        self._run("pg_ctl", "-w", "-l", self.folder / "log", "-o", options, "start")

    def stop(self):
        """At once: what was not committed is lost."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)


def start():
    """None where it cannot be had."""
    missing = not (PROGRAMS / "initdb").exists() or importlib.util.find_spec("psycopg") is None
    return None if missing else Postgres()
