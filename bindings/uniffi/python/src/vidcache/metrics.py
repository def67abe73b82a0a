"""What waits and what a handle has done, for a dashboard: in Prometheus' text format, or as values for an exporter of
the app's own. Each has one name in two forms: OpenTelemetry's (`vidcache.oldest_change`, in `s`) and, by
OpenTelemetry's own rules, Prometheus' (`vidcache_oldest_change_seconds`). Nothing of it names a user.

    @app.get("/metrics/vidcache")           # where nobody but Prometheus comes
    def metrics():
        return Response(vidcache.metrics.text(cache), media_type=vidcache.metrics.MEDIA_TYPE)
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

from ._page import AnyCache
from .values import Stats

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What `text` is."""

AT_MOST = 10_000
"""Up to how many of a kind are counted, so that it costs the same whatever the file holds."""

_LONG_AGO = 30 * 86_400
_UNITS = {"s": "_seconds", "By": "_bytes", "": ""}


@dataclass(frozen=True)
class Metric:
    """One number, as of now."""

    name: str
    """OpenTelemetry's."""
    kind: str
    """`counter` or `gauge`."""
    unit: str
    """`s`, `By` or nothing."""
    help: str
    value: int
    labels: Dict[str, str] = field(default_factory=dict)

    @property
    def prometheus_name(self) -> str:
        return self.name.replace(".", "_") + _UNITS[self.unit] + ("_total" if self.kind == "counter" else "")


# What a handle counts, by its name in Stats.
_OF_A_PROCESS: Tuple[Tuple[str, str, str, str, str], ...] = (
    ("hits", "hits", "counter", "", "Look-ups answered from memory."),
    ("misses", "misses", "counter", "", "Look-ups that read the file."),
    ("syncs", "syncs", "counter", "", "Times that commits were taken note of."),
    ("evictions", "evictions", "counter", "", "Users put out of memory to make room."),
    ("reopened", "reopened", "counter", "", "Times that the file was replaced or deleted under the process."),
    ("entries", "entries", "gauge", "", "Users in memory."),
    ("bytes", "memory", "gauge", "By", "What the table in memory takes."),
    ("looks", "looks", "counter", "", "Times that memory was brought up to date with the app's database."),
    ("forgotten", "forgotten", "counter", "", "Times that memory was emptied, since the app's database may have forgotten something."),
    ("asks", "asks", "counter", "", "Pages that asked the app's database."),
    ("stale", "stale", "counter", "", "Pages that said less since the database did not answer."),
)


def read(cache: AnyCache) -> List[Metric]:
    """Counts of what waits are of the file or the tables, so of all processes, and end at `AT_MOST`; look-ups are this
    handle's, as the labels `host` and `process` say. Raises what a look-up raises."""
    changes = cache.stale_changes(older_than=0, limit=AT_MOST)
    oldest = max(0, int(time.time() - changes[0].begun_at_ms / 1000)) if changes else 0
    stats = cache.stats()
    waiting = [
        Metric("vidcache.changes_outstanding", "gauge", "", "Changes of emails on their way, up to 10000.", len(changes)),
        Metric("vidcache.oldest_change", "gauge", "s", "For how long the oldest of them has been.", oldest),
        Metric(
            "vidcache.unconfirmed_users", "gauge", "", "Users whose email HubSpot has not confirmed, up to 10000.",
            len(cache.users_to_read(limit=AT_MOST)),
        ),
        Metric(
            "vidcache.long_ago_users", "gauge", "", "Users whose contact nobody has read for 30 days, up to 10000.",
            len(cache.users_to_read(confirmed=True, older_than=_LONG_AGO, limit=AT_MOST)),
        ),
        Metric(
            "vidcache.conflicts", "gauge", "", "Users in conflict over an email or a contact, up to 10000.",
            len(cache.conflicts(limit=AT_MOST)),
        ),
    ]
    labels = {"host": socket.gethostname(), "process": str(os.getpid())}
    process = [
        Metric(f"vidcache.{name}", kind, unit, told, getattr(stats, counted), labels)
        for counted, name, kind, unit, told in _OF_A_PROCESS
        if hasattr(stats, counted)
    ]
    if isinstance(stats, Stats):
        waiting.append(Metric("vidcache.log", "gauge", "By", "The size of the log beside the file.", stats.log_bytes))
        slow = int(stats.fallback is not None)
        process.append(Metric("vidcache.fallback", "gauge", "", "Whether every look-up reads the file.", slow, labels))
    return [*waiting, *process]


def text(cache: AnyCache) -> str:
    """What `read` gives, in Prometheus' text format."""
    return "".join(_family(metric) for metric in read(cache))


def _family(metric: Metric) -> str:
    name = metric.prometheus_name
    escaped = {label: value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for label, value in metric.labels.items()}
    labels = ",".join(f'{label}="{value}"' for label, value in escaped.items())
    shown = f"{{{labels}}}" if labels else ""
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n{name}{shown} {metric.value}\n"
