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

from ._library import __version__
from .cache import Cache, move_aside
from .errors import (
    AnswerWithoutEmail,
    AnswerWithoutId,
    BufferTooSmall,
    Busy,
    Cancelled,
    CannotOpen,
    Closed,
    ContactConflict,
    ContactMissing,
    Corrupt,
    ForeignChange,
    Internal,
    InvalidAnswer,
    InvalidEmail,
    InvalidOption,
    InvalidPortal,
    InvalidSecret,
    InvalidSignature,
    InvalidUserKey,
    InvalidVid,
    InvalidWebhook,
    NewerSchema,
    NotACache,
    RateLimited,
    Storage,
    UnknownChange,
    UnsupportedFilesystem,
    VidcacheError,
    VidTaken,
    WrongPortal,
    WrongSecret,
)
from .signature import verify_signature
from .values import (
    Decision,
    Explanation,
    Identity,
    ImportReport,
    ImportRow,
    Observed,
    Recorded,
    StaleChange,
    Stats,
    WebhookReport,
)

__all__ = [
    "AnswerWithoutEmail",
    "AnswerWithoutId",
    "BufferTooSmall",
    "Busy",
    "Cache",
    "Cancelled",
    "CannotOpen",
    "Closed",
    "ContactConflict",
    "ContactMissing",
    "Corrupt",
    "Decision",
    "Explanation",
    "ForeignChange",
    "Identity",
    "ImportReport",
    "ImportRow",
    "Internal",
    "InvalidAnswer",
    "InvalidEmail",
    "InvalidOption",
    "InvalidPortal",
    "InvalidSecret",
    "InvalidSignature",
    "InvalidUserKey",
    "InvalidVid",
    "InvalidWebhook",
    "NewerSchema",
    "NotACache",
    "Observed",
    "RateLimited",
    "Recorded",
    "StaleChange",
    "Stats",
    "Storage",
    "UnknownChange",
    "UnsupportedFilesystem",
    "VidTaken",
    "VidcacheError",
    "WebhookReport",
    "WrongPortal",
    "WrongSecret",
    "__version__",
    "move_aside",
    "verify_signature",
]
