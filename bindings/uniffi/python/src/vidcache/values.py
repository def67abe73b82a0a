"""What the calls return. All of it is frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn, Optional

from ._input import UserKey


@dataclass(frozen=True)
class Identity:
    """Which contact a user is."""

    vid: int
    """The contact, as it is after merges."""
    external_id: Optional[int]
    """The external id that pages give; None where another user gives it."""


@dataclass(frozen=True)
class Decision:
    """What a page may say of a user: email and id, id alone, or nothing."""

    email: Optional[str] = field(repr=False)
    """The email to name, normalised, or None. Not in the repr, so that no log has it."""
    id: Optional[int]
    """The external id to give, or None."""
    reason: str
    """`agreed`, `change_outstanding`, `email_differs`, `email_unconfirmed`, `email_absent`, `not_linked` or `stale`."""

    @property
    def agreed(self) -> bool:
        """Whether the email may be named."""
        return self.reason == "agreed"

    def __reduce__(self) -> NoReturn:
        """A decision is of one moment, and what is pickled is kept: in a cache, a session, a task's arguments."""
        raise TypeError("a Decision is not pickled: it would keep an email, and be old where it is read. Ask for it anew")

    def __copy__(self) -> Decision:
        return self

    def __deepcopy__(self, _memo: object) -> Decision:
        return self


@dataclass(frozen=True)
class Explanation:
    """Why a page says what it says. `str` of it has a sentence to a line, and no email."""

    decision: Decision
    sentences: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.sentences)


@dataclass(frozen=True)
class Recorded:
    """What `Cache.record` learnt."""

    vid: int
    """The contact that the answer described."""
    canonical: bool
    """Whether that is the id that was asked for; if not, that one was merged into it."""
    created: Optional[bool]
    """Whether the call made the contact, if the answer says so."""
    email_observed: bool
    """Whether the answer said which email the contact holds, and since when."""


@dataclass(frozen=True)
class Observed:
    """What `Cache.observe` learnt."""

    contacts: tuple[int, ...]
    """The contacts that the answer described."""
    missing: tuple[int, ...]
    """The ids for which HubSpot says it has no contact."""


@dataclass(frozen=True)
class WebhookReport:
    """What `Cache.apply_webhook` did with the events of a body."""

    applied: int
    """Events that told something new."""
    repeated: int
    """Events that came before, or were overtaken by something newer."""
    ignored: int
    """Events of other types, objects, properties or portals."""


@dataclass(frozen=True)
class ImportRow:
    """A user whom `Cache.import_users` takes in."""

    user: UserKey
    vid: int
    email: Optional[str] = field(default=None, repr=False)
    """The email that HubSpot held for the contact, if known."""
    email_at_ms: int = 0
    """Since when, HubSpot's updatedAt: milliseconds since 1970 UTC."""


@dataclass(frozen=True)
class ImportReport:
    """What `Cache.import_users` did."""

    imported: int
    """Users taken in, or known already."""
    vid_taken: int
    """Users left out because another user has their contact."""


@dataclass(frozen=True)
class Conflict:
    """A user whose contact is in question."""

    user: str
    """The user as text, an integer in decimal."""
    vid: Optional[int]
    """Their contact, after merges; None where they are linked to none."""
    holder: Optional[int]
    """The contact that holds their email, or that another user has; None where HubSpot did not name it."""
    why: str
    """`email_held`: HubSpot holds the email for `holder`; `vid_taken`: its answer named another user's contact."""
    since_ms: int
    """Since when this conflict stands: milliseconds since 1970 UTC, by the app's clock."""


@dataclass(frozen=True)
class StaleChange:
    """A change that was begun and is outstanding."""

    user: str
    """The user as text, an integer in decimal."""
    token: int
    """What a fresh answer must be recorded with."""
    begun_at_ms: int
    """When it was begun: milliseconds since 1970 UTC, by the app's clock."""


@dataclass(frozen=True)
class UserToRead:
    """A linked user whose contact is to be read."""

    user: str
    """The user as text, an integer in decimal; of several who share the contact, one."""
    vid: int
    """The contact."""
    read_at_ms: int
    """When it was last read, or else when HubSpot last confirmed its email: milliseconds since 1970 UTC. 0: never."""


@dataclass(frozen=True)
class Stats:
    """What a `Cache` has done since it was opened, in this process."""

    # From here on: made by bindings/tables.
    hits: int
    """Look-ups answered from memory. Threads count beside each other without a lock, so this may miss a few."""
    misses: int
    """Look-ups that read the file."""
    syncs: int
    """How often the table was brought up to date after commits."""
    evictions: int
    """Users put out of the table to make room."""
    entries: int
    """Users in the table."""
    bytes: int
    """Bytes that the table takes."""
    revision: int
    """The newest revision that the table has seen."""
    reopened: int
    """How often the file, its log or its WAL index was replaced or deleted under us, and opened again."""
    log_bytes: int
    """Bytes of the log beside the file, which grows behind a reader that stays, such as a backup."""
    passing: Optional[str]
    """Why the file will not last where it is, if it will not: it is on a container's own layer, or in memory."""
    fallback: Optional[str]
    """Why every look-up reads the file, if it does."""
    last_error: Optional[str]
    """The code of the last failure, such as `busy`."""
