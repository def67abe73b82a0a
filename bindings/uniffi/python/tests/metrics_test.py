"""What a dashboard is told."""

import re
from pathlib import Path

from conftest import ANSWER
from vidcache import metrics

OPERATIONS = Path(__file__).resolve().parents[4] / "docs/operations.md"


def test_they_are_those_that_the_documents_name_and_say_what_waits(cache):
    cache.record(42, ANSWER)
    cache.decide(42, "ann@shop.test")
    cache.link(43, 902)
    cache.begin_email_change(42)
    # What was written in this millisecond is not yet in the lists.
    found = {}
    while found.get("vidcache.changes_outstanding") != 1 or found["vidcache.unconfirmed_users"] != 1:
        found = {metric.name: metric.value for metric in metrics.read(cache)}
    assert found["vidcache.oldest_change"] < 600
    assert (found["vidcache.conflicts"], found["vidcache.fallback"]) == (0, 0)
    assert found["vidcache.entries"] > 0
    assert found["vidcache.log"] > 0

    said = metrics.text(cache)
    assert "# TYPE vidcache_changes_outstanding gauge\nvidcache_changes_outstanding 1\n" in said
    assert re.search(r'^vidcache_misses_total\{host="[^"]+",process="\d+"\} \d+$', said, re.M)
    assert "@" not in said
    for line in said.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) vidcache_\w+ .+|vidcache_\w+(\{[^}]*\})? \d+", line), line
    rows = re.findall(r"^\| `(vidcache\.\w+)` \| `(vidcache_\w+)` \| ([^|]*) \|", OPERATIONS.read_text(), re.M)
    documented = {(name, prometheus) for name, prometheus, where in rows if "Python" in where}
    assert {(metric.name, metric.prometheus_name) for metric in metrics.read(cache)} == documented
