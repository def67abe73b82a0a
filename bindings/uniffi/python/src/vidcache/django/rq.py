"""RQ: `VIDCACHE["queue"] = "vidcache.django.rq.enqueue"`, and `VIDCACHE["rq_queue"]`, a function that returns the
`rq.Queue`, or its name: django-rq's `"django_rq.get_queue"` if nothing is said. Its worker needs a scheduler:
`manage.py rqworker --with-scheduler`. """

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.module_loading import import_string

from . import settings
from .contact_job import perform


def enqueue(payload: dict[str, Any], wait: float) -> None:
    """Enqueues a job. Raises what RQ raises when Redis cannot be reached."""
    found = settings.given("rq_queue") or "django_rq.get_queue"
    queue = (import_string(found) if isinstance(found, str) else found)()
    if wait > 0:
        queue.enqueue_in(timedelta(seconds=wait), tell_hubspot, payload)
    else:
        queue.enqueue(tell_hubspot, payload)


def tell_hubspot(payload: dict[str, Any]) -> None:
    """One try of a job; what is left to do is another job."""
    again = perform(payload)
    if again is not None:
        enqueue(again.payload, again.wait)
