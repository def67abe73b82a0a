"""A class for each of the library's stable codes, all under `VidcacheError`.

No message holds an email, a secret or a value of an answer.
"""

from __future__ import annotations

from typing import ClassVar, Optional


class VidcacheError(Exception):
    """A failed call."""

    code: ClassVar[str]
    """The stable name, the same in every language: `busy`."""
    number: ClassVar[int]
    """The stable number."""
    vid: Optional[int]
    """The contact that the failure is about (`VidTaken`, `ContactConflict`), where one is known."""
    retry_after: Optional[float]
    """`RateLimited`: how long the limit lasts at most, in seconds, where HubSpot's answer tells."""

    def __init__(self, message: str, *, vid: Optional[int] = None, retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        self.vid = vid
        self.retry_after = retry_after


# From here to BY_CODE: made by bindings/tables.

__all__ = [
    "VidcacheError",
    "InvalidUserKey",
    "InvalidVid",
    "InvalidEmail",
    "InvalidPortal",
    "InvalidSecret",
    "InvalidOption",
    "BufferTooSmall",
    "InvalidAnswer",
    "AnswerWithoutId",
    "AnswerWithoutEmail",
    "InvalidWebhook",
    "InvalidSignature",
    "UnknownChange",
    "ForeignChange",
    "VidTaken",
    "ContactConflict",
    "ContactMissing",
    "RateLimited",
    "Refused",
    "HubspotError",
    "WrongPortal",
    "WrongSecret",
    "NotACache",
    "NewerSchema",
    "CannotOpen",
    "UnsupportedFilesystem",
    "TablesUnusable",
    "Busy",
    "Cancelled",
    "Storage",
    "Corrupt",
    "Closed",
    "Internal",
]


class InvalidUserKey(VidcacheError):
    """The user key cannot be a key: text is 1 to 255 bytes of UTF-8 without NUL."""

    code = "invalid_user_key"
    number = 101


class InvalidVid(VidcacheError):
    """The vid is not an integer from 1 to 2^63 - 1."""

    code = "invalid_vid"
    number = 102


class InvalidEmail(VidcacheError):
    """The email cannot be an address."""

    code = "invalid_email"
    number = 103


class InvalidPortal(VidcacheError):
    """The portal id is not an integer from 1 to 2^63 - 1."""

    code = "invalid_portal"
    number = 104


class InvalidSecret(VidcacheError):
    """The secret is too short to key the fingerprints: it takes at least 16 bytes."""

    code = "invalid_secret"
    number = 105


class InvalidOption(VidcacheError):
    """An option, or another argument, is of the wrong type or out of its range."""

    code = "invalid_option"
    number = 106


class BufferTooSmall(VidcacheError):
    """The caller's buffer is too small for what was to be written to it. Only callers in C hand one over."""

    code = "buffer_too_small"
    number = 107


class InvalidAnswer(VidcacheError):
    """The answer is not JSON, or a field that matters has the wrong type."""

    code = "invalid_answer"
    number = 111


class AnswerWithoutId(VidcacheError):
    """The answer is JSON but names no contact. What was asked for may have been done all the same, so read the contact.
    """

    code = "answer_without_id"
    number = 112


class AnswerWithoutEmail(VidcacheError):
    """The answer names a contact but not which email it holds and since when, so it cannot finish a change."""

    code = "answer_without_email"
    number = 113


class InvalidWebhook(VidcacheError):
    """The webhook's body is not a batch of events, or a field that matters has the wrong type. Nothing of the batch is
    applied but its erasures.
    """

    code = "invalid_webhook"
    number = 114


class InvalidSignature(VidcacheError):
    """The request was not signed by HubSpot with this secret, or was signed at another time."""

    code = "invalid_signature"
    number = 115


class UnknownChange(VidcacheError):
    """No change with this token is known."""

    code = "unknown_change"
    number = 201


class ForeignChange(VidcacheError):
    """The change token belongs to another user, or to one who was forgotten."""

    code = "foreign_change"
    number = 202


class VidTaken(VidcacheError):
    """The contact is linked to another user."""

    code = "vid_taken"
    number = 203


class ContactConflict(VidcacheError):
    """HubSpot refused: another contact holds the email (409, or a 400 that means the same)."""

    code = "contact_conflict"
    number = 204


class ContactMissing(VidcacheError):
    """HubSpot has no such contact (404, in HubSpot's own words). It may pass: so it is right after a create."""

    code = "contact_missing"
    number = 205


class RateLimited(VidcacheError):
    """HubSpot asks to wait, and the call was not carried out: its rate limit was reached (429), or it is at work (423,
    477, 503).
    """

    code = "rate_limited"
    number = 206


class Refused(VidcacheError):
    """HubSpot will not take the email, however often it is told (400): the change has ended, and the message says what
    to do.
    """

    code = "refused"
    number = 207


class HubspotError(VidcacheError):
    """HubSpot answered with an error that says nothing of a contact: no access, a failure of its own. Try again later.
    """

    code = "hubspot_error"
    number = 208


class WrongPortal(VidcacheError):
    """The file belongs to another HubSpot portal."""

    code = "wrong_portal"
    number = 301


class WrongSecret(VidcacheError):
    """The file's key is wrapped under another secret."""

    code = "wrong_secret"
    number = 302


class NotACache(VidcacheError):
    """The file is not a database of this library."""

    code = "not_a_cache"
    number = 303


class NewerSchema(VidcacheError):
    """The file was written by a newer version of this library."""

    code = "newer_schema"
    number = 304


class CannotOpen(VidcacheError):
    """The file cannot be opened or created."""

    code = "cannot_open"
    number = 305


class UnsupportedFilesystem(VidcacheError):
    """The file system cannot carry a database that several processes share."""

    code = "unsupported_filesystem"
    number = 306


class TablesUnusable(VidcacheError):
    """vidcache's tables in the app's database cannot be used: they are missing or half migrated, were not set up, may
    not be written, were asked on a replica or in a transaction that sees them as they were, or hold what cannot be.
    """

    code = "tables_unusable"
    number = 307


class Busy(VidcacheError):
    """Another process held the write lock for longer than the busy timeout."""

    code = "busy"
    number = 401


class Cancelled(VidcacheError):
    """The call was cancelled while it waited; nothing was written."""

    code = "cancelled"
    number = 402


class Storage(VidcacheError):
    """SQLite or the disk failed; nothing of this call was written."""

    code = "storage"
    number = 403


class Corrupt(VidcacheError):
    """The file is damaged."""

    code = "corrupt"
    number = 404


class Closed(VidcacheError):
    """The handle was closed."""

    code = "closed"
    number = 405


class Internal(VidcacheError):
    """A defect of this library, caught at a binding's edge."""

    code = "internal"
    number = 501


BY_CODE: dict[str, type[VidcacheError]] = {kind.code: kind for kind in VidcacheError.__subclasses__()}
