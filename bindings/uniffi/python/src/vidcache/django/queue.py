"""The jobs: what one is given, and how it comes into the app's queue.

VIDCACHE's "queue" is a function of a payload (a dict that JSON can hold, without an email that can be read) and of
seconds to wait, or its name: `vidcache.django.celery.enqueue`, `vidcache.django.rq.enqueue`, or the app's own,
whose worker calls `vidcache.django.contact_job.perform(payload)`. """

from __future__ import annotations

from functools import lru_cache
from typing import Any, Optional

from .._page import logger, report
from . import get_cache, settings
from .contact_job.memory import Memory
from .declaration import Declaration


def payload(
    declaration: Declaration,
    user: Any,
    *,
    change: Optional[int] = None,
    before: Optional[str] = None,
    signed_up_as: Optional[str] = None,
    creates: Optional[bool] = None,
    unbegun: bool = False,
    row_of: Optional[float] = None,
) -> dict[str, Any]:
    """What a job of this user is given. `before`: the email that HubSpot may know them by besides the present one. The
    others: see `Memory`.
    """
    memory = Memory(creates=creates, signed_up_as=signed_up_as, unbegun=unbegun, row_of=row_of)
    memory.add(before)
    return {
        "model": declaration.label,
        "pk": declaration.model._meta.pk.value_to_string(user),
        "change": change,
        "row_at": declaration.made_at(user),
        "kept": memory.seal(declaration.user_key(user)),
        "tries": 0,
    }


def enqueue(job: dict[str, Any], wait: float) -> None:
    """Hands a job to the app's queue. Raises what that raises, and ImproperlyConfigured where there is none."""
    settings.enqueue()(job, wait)


def quiet_period() -> float:
    """Seconds after the beginning of a change before which no job tells HubSpot: VIDCACHE's "quiet_period", or else
    what the file says. Never so short that a page of any process could name the former email still: then what the
    file says counts, and the log says so. The longest that any may be where the file cannot say. """
    wished = float(settings.given("quiet_period") or 0)
    try:
        of_file = get_cache().quiet_period()
    except Exception as error:
        report("a job waits for the longest time that it may have to", error)
        return settings.LONGEST
    if wished and wished <= of_file - settings.TRANSIT:
        _warn(wished, of_file)
    return wished if wished > of_file - settings.TRANSIT else of_file


@lru_cache(maxsize=1)
def _warn(wished: float, of_file: float) -> None:
    """Once for a process."""
    logger.warning(
        "VIDCACHE's quiet_period is %g s, and a process has rendered pages that name an email for as long or longer: jobs wait %g s", wished, of_file
    )
