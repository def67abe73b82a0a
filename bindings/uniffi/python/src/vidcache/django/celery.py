"""Celery: `VIDCACHE["queue"] = "vidcache.django.celery.enqueue"`. `app.autodiscover_tasks()` finds the task,
`vidcache.tell_hubspot`, by itself; `task_routes` sends it to a queue of its own.
"""

from __future__ import annotations

from typing import Any

from celery import shared_task

from .._page import logger
from .contact_job import Again, perform

LONGEST = 1800
"""Seconds that a task is given to wait: brokers with a visibility timeout (Redis, SQS) deliver one that waits for
longer again and again. One that has to wait for longer waits in parts."""


def enqueue(payload: dict[str, Any], wait: float) -> None:
    """Enqueues a job. Raises what Celery raises when its broker cannot be reached.

    With `task_always_eager` a job runs at once, and one that has to wait is not done: its change stays outstanding,
    as the log says. The tests of an app use `vidcache.testing`. """
    tell_hubspot.apply_async((payload,), countdown=min(wait, LONGEST))


@shared_task(bind=True, name="vidcache.tell_hubspot", ignore_result=True)  # type: ignore[untyped-decorator]
def tell_hubspot(self: Any, payload: dict[str, Any]) -> None:
    """One try of a job; what is left to do is another task."""
    again = perform(payload)
    if isinstance(again, Again):
        if self.request.is_eager:
            _cannot_wait(again.payload)
        else:
            enqueue(again.payload, again.wait)


def _cannot_wait(payload: dict[str, Any]) -> None:
    logger.error(
        "%s %s: a job is not done, since Celery runs tasks at once (task_always_eager) and it has to wait",
        payload.get("model"),
        payload.get("pk"),
    )
