"""What becomes of a user's save while the file cannot be opened or written: VIDCACHE's "when_unavailable".

`"raise"`, unless DEBUG is set: the save raises, and nothing is written. `"save"`, with DEBUG: the row is saved. Its job
begins the change once it can, and tells HubSpot an hour after that, since what was known of pages may have gone with
the file. Nobody else knows of the change until then, so the queue has to keep its jobs; the job is tried until the file
is back. A page names no email meanwhile but one that HubSpot holds: the row's new one is none that was confirmed.

A new row is saved, too; if its key was another user's before, that is found out by the job, and until then the page of
that row gives the other user's id. So `"save"` is not for a database that hands keys out again. ADR 20 has why it is
safe. """

from __future__ import annotations

import importlib.util

from ..errors import VidcacheError
from . import settings
from .failure import report_seldom

OUTCOME = "a user was saved without the file: the job makes up for it once the file is back"


def saves(error: Exception) -> bool:
    """Whether the save goes on in spite of the error; then it is reported."""
    if not settings.saves_without_file() or not of_the_file(error):
        return False
    if importlib.util.find_spec("cryptography") is None:
        return False  # What the job does not keep nobody would know.
    report_seldom(OUTCOME, error)
    return True


def of_the_file(error: Exception) -> bool:
    """Of the file, and not of the caller's arguments or of a call that was ended."""
    if isinstance(error, VidcacheError):
        return 300 <= error.number < 500 and error.code != "cancelled"
    return isinstance(error, OSError)
