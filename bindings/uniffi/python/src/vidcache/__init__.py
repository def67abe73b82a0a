"""Which HubSpot contact is this user, and may this page name their email?

>>> import tempfile, vidcache
>>> cache = vidcache.Cache(tempfile.mkdtemp() + "/hubspot.vidcache", 62515, secret=b"thirty-two bytes kept out of it.")
>>> cache.link(42, 901)
>>> cache.resolve(42)
901
>>> cache.decide(42, "ann@shop.test").reason
'email_unconfirmed'
>>> cache.close()
"""

from . import errors
from ._library import __version__
from .cache import Cache, move_aside, restore
from .errors import *
from .signature import verify_signature
from .values import (
    Conflict,
    Decision,
    Explanation,
    Identity,
    ImportReport,
    ImportRow,
    Observed,
    Recorded,
    StaleChange,
    Stats,
    UserToRead,
    WebhookReport,
)

__all__ = [
    "Cache",
    "Conflict",
    "Decision",
    "Explanation",
    "Identity",
    "ImportReport",
    "ImportRow",
    "Observed",
    "Recorded",
    "StaleChange",
    "Stats",
    "UserToRead",
    "WebhookReport",
    "__version__",
    "move_aside",
    "restore",
    "verify_signature",
]
__all__ += errors.__all__
