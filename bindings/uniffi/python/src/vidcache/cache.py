"""The cache: one class over the library's one type."""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, Optional, Union

from . import _direct, _input, errors
from ._input import HIGHEST, Answer, UserKey
from ._library import call, native
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

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def move_aside(path: Path) -> str:
    """Moves a file that will not open out of the way, with its log and index, so that `Cache` can make a new one.

    Returns where it is now: `NAME.aside-MILLISECONDS` in the same folder. Raises `Busy` while any process has it open,
    `CannotOpen`, `UnsupportedFilesystem`; then nothing was moved.
    """
    return os.fsdecode(call(native.move_aside, _input.path(path)))


def restore(backup: Path, path: Path) -> Optional[str]:
    """Puts a copy of a backup in the place of the file at `path`, while nobody has that open.

    All that HubSpot said of every contact is doubted in it first: no page names an email until the contact was read
    again. What was at `path` is moved aside; returns where it is now, or None where there was nothing. Raises `Busy`
    while any process has the file open, `NotACache`, `NewerSchema`, `Corrupt` for what is in the backup, `CannotOpen`,
    `UnsupportedFilesystem`; then the file is as it was, or moved aside.
    """
    old = call(native.restore, _input.path(backup), _input.path(path))
    return None if old is None else os.fsdecode(old)


def _decision(found: Any) -> Decision:
    return Decision(found.email, found.id, found.reason)


class Cache:
    """A user → contact cache in one SQLite file, for one HubSpot portal.

    A user is an int of 64 bits, a UUID, or a str of 1 to 255 bytes, never an email; `"42"` and 42 are one user. Any
    thread may use it, several at once. One that was opened before a fork is right in parent and child. Several processes
    of one host may open the same file, each sees every commit made before its call. The file is private to the
    library: no other SQLite, and no plain open and close, may touch it from the same process.

    Every failure is a `VidcacheError`. All calls may raise `Storage`, `Corrupt`, `Busy` and, after `close`, `Closed`.
    """

    __slots__ = ("__weakref__", "_at", "_core")

    def __init__(
        self,
        path: Path,
        portal_id: int,
        *,
        # From here on: made by bindings/tables.
        secret: Union[bytes, str, None] = None,
        loader_host: str = "js.hs-scripts.com",
        memory: int = 32 << 20,
        busy_timeout: float = 5.0,
        page_deadline: float = 10.0,
        durable: bool = True,
        old_secrets: Sequence[Union[bytes, str]] = (),
    ) -> None:
        """Opens the file at `path` for a portal (the HubSpot account's id), making it with mode 0600 where there is
        none. The folder must exist, on a local disk.

        `secret`: What the file's key is wrapped under: at least 16 bytes, kept outside the file. Without one the key
        lies open in the file, so whoever has the file can test a guessed email against it. `loader_host`: The host of
        HubSpot's loader, copied from the portal's own embed code (in HubSpot: Settings, Tracking code), whose src is
        `//HOST/PORTAL.js`: `js-eu1.hs-scripts.com` for portals in the EU data centre, `js-na2`, `js-ap1` and others
        elsewhere. `memory`: The most bytes that the in-process table takes. `busy_timeout`: How long a call waits for
        other processes' writes before `Busy`; the beginning of a change, which a visitor may be waiting for, 2 s at
        most. In seconds, at most 3600. `page_deadline`: How long after it was rendered a page may name an email; a page
        that runs later gives the id alone. A worker tells HubSpot of a change when pages rendered before the change are
        older than this. Where processes that share a file have different ones, the longest counts. In seconds, from 0.1
        to 3600. `durable`: Whether a write that returned survives a power failure. If not, it survives a crash of the
        process, and a power failure may take the last writes, the beginning of a change among them: then a page may
        name an email that HubSpot holds no more. `old_secrets`: What `secret` was before, the newest first. A file that
        was made or last opened with one of these is opened, and its key is wrapped anew under `secret`, which is one
        row: afterwards the old ones are not needed.

        Raises `InvalidPortal`, `InvalidSecret`, `InvalidOption` for the arguments; `CannotOpen`, `UnsupportedFilesystem`
        for the place; `NotACache`, `NewerSchema`, `WrongPortal`, `WrongSecret`, `Corrupt` for what is in the file, which
        is left as it was.
        """
        if not _input.fits(portal_id):
            raise errors.InvalidPortal("invalid portal id: it must be an int from 1 to 2^63 - 1")
        if not isinstance(durable, bool):
            raise errors.InvalidOption("invalid option durable: it must be a bool")
        options = native.OpenOptions(
            # Made by bindings/tables.
            secret=_input.secret(secret),
            loader_host=_input.optional_text(loader_host, "loader_host"),
            memory=_input.count(memory, "memory", HIGHEST),
            busy_timeout_ms=_input.milliseconds(busy_timeout, "busy_timeout"),
            page_deadline_ms=_input.milliseconds(page_deadline, "page_deadline"),
            full=durable,
            old_secrets=_input.secrets(old_secrets),
        )
        self._core: Any = call(native.Vidcache.open, _input.path(path), int(portal_id), options)
        # Good as long as `_core` is, which is never given away or let go.
        self._at: int = self._core.address()

    def __enter__(self) -> Cache:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<vidcache.Cache of portal {self.portal_id}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Cache cannot be pickled or copied: open the file in each process, or fork")

    @property
    def portal_id(self) -> int:
        """The HubSpot account that the file belongs to."""
        return int(self._core.portal_id())

    def close(self) -> None:
        """Closes the file. Every later call raises `Closed`; closing again does nothing."""
        call(self._core.close)

    def resolve(self, user: UserKey) -> Optional[int]:
        """The user's contact, as it is after merges, or None. About a microsecond when memory has the user.

        Raises `InvalidUserKey`.
        """
        vid = _direct.resolve(self._at, user)
        if vid >= 0:
            return vid or None
        found = call(self._core.resolve, _input.user_key(user))
        return None if found is None else int(found.vid)

    def identity(self, user: UserKey) -> Optional[Identity]:
        """The user's contact and the external id that pages give, or None. Raises `InvalidUserKey`."""
        found = call(self._core.resolve, _input.user_key(user))
        return None if found is None else Identity(found.vid, found.external_id)

    def resolve_many(self, users: Iterable[UserKey]) -> list[Optional[int]]:
        """`resolve` for many users, in their order; a few hundred nanoseconds for each. Raises `InvalidUserKey`."""
        given: Any = self._list(users, "users")
        # Many of one type are checked at once; if anything is wrong, or mixed, one by one.
        kinds = set(map(type, given))
        if kinds == {int}:
            try:
                packed = array("q", given)
            except OverflowError:
                pass
            else:
                return self._unpacked(call(self._core.resolve_many_ids, packed.tobytes()))
        keys: list[str] = given if kinds == {str} else list(map(_input.user_key, given))
        joined = "".join([key + "\0" for key in keys])
        if "" in keys or joined.count("\0") != len(keys) or not _input.is_text(joined):
            for key in keys:
                if not _input.user_key(key) or "\0" in key:
                    raise errors.InvalidUserKey(f"invalid user key: it {'holds a NUL byte' if key else 'is empty'}")
        return self._unpacked(call(self._core.resolve_many_texts, joined))

    @staticmethod
    def _list(values: Any, name: str) -> Any:
        if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
            raise errors.InvalidOption(f"invalid option {name}: it must be an iterable of them")
        return values if isinstance(values, (list, tuple)) else list(values)

    @staticmethod
    def _unpacked(packed: bytes) -> list[Optional[int]]:
        vids = array("q")
        vids.frombytes(packed)
        return [vid or None for vid in vids]

    def decide(self, user: UserKey, email: Optional[str]) -> Decision:
        """What a page may say of the user, whose email the app believes to be `email` (None: it has none).

        Raises `InvalidUserKey`, `InvalidEmail`.
        """
        found = _direct.decide(self._at, user, email)
        if found is not None:
            return found
        return _decision(call(self._core.decide, _input.user_key(user), _input.email(email)))

    def decide_many(self, users: Iterable[tuple[UserKey, Optional[str]]]) -> list[Decision]:
        """`decide` for many pairs of user and email, in their order. Raises as `decide`, of the first that fails."""
        pairs = self._list(users, "users")
        for pair in pairs:
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise errors.InvalidOption("invalid option users: each must be a pair of user and email")
        return [self.decide(user, email) for user, email in pairs]

    def snippet(self, user: UserKey, email: Optional[str], *, nonce: Optional[str] = None) -> str:
        """The HTML that puts the decision, and HubSpot's loader, on a page: two script elements, safe as they are.

        `nonce`: the page's Content-Security-Policy nonce. Raises `InvalidUserKey`, `InvalidEmail`, `InvalidOption`.
        """
        found = _direct.snippet(self._at, user, email, nonce)
        if found is not None:
            return found
        found = call(
            self._core.snippet, _input.user_key(user), _input.email(email), _input.optional_text(nonce, "nonce")
        )
        return str(found)

    def anonymous_snippet(self, *, nonce: Optional[str] = None) -> str:
        """The HTML for a page whose visitor the app does not know: the loader, and no identity."""
        found = _direct.anonymous_snippet(self._at, nonce)
        if found is not None:
            return found
        return str(call(self._core.anonymous_snippet, _input.optional_text(nonce, "nonce")))

    def signed_out_snippet(self, *, nonce: Optional[str] = None) -> str:
        """The HTML for the page after a sign-out: that of `anonymous_snippet`, and HubSpot's tracker gives the browser
        a new usertoken, so that nothing it sends from here on belongs to the former user's contact.
        """
        return str(call(self._core.signed_out_snippet, _input.optional_text(nonce, "nonce")))

    def page_data(self, user: UserKey, email: Optional[str]) -> dict[str, Any]:
        """What `snippet` puts on a page, for a page that the app makes itself, to be sent as JSON: `at`, the time of
        this call (ms since 1970 UTC), `ttl`, how long after that the email may be named (ms), and, where the decision
        has them, `id` (`"vid:901"`) and `email`. It is for `show` of `page/vidcache.js`, which keeps the email from
        being named late; a response with it must not be cached (`Cache-Control: private, no-store`).

        Raises `InvalidUserKey`, `InvalidEmail`.
        """
        return self._data(call(self._core.page_data, _input.user_key(user), _input.email(email)))

    def anonymous_page_data(self) -> dict[str, Any]:
        """`page_data` of a visitor whom the app does not know."""
        return self._data(call(self._core.anonymous_page_data))

    def signed_out_page_data(self) -> dict[str, Any]:
        """`page_data` of a visitor who has just signed out: `at`, `ttl` and `out`, which is True; as
        `signed_out_snippet` for a page.
        """
        return self._data(call(self._core.signed_out_page_data))

    @staticmethod
    def _data(text: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(text)
        return found

    def link(self, user: UserKey, vid: int) -> None:
        """Says that the user is this contact, without saying which email HubSpot holds for it. Durable on return.

        Raises `InvalidUserKey`, `InvalidVid`, `VidTaken`; nothing is written then.
        """
        call(self._core.link, _input.user_key(user), _input.vid(vid))

    def link_shared(self, user: UserKey, vid: int) -> None:
        """`link` to a contact that may be another user's too: the explicit choice that they share it."""
        call(self._core.link_shared, _input.user_key(user), _input.vid(vid))

    def record(
        self, user: UserKey, answer: Answer, *, change: Optional[int] = None, asked_at_ms: Optional[int] = None
    ) -> Recorded:
        """Records what a HubSpot API call about the user answered: the body, or what `json.loads` made of it.

        `change` is the token of the change that this finishes: that takes an answer that says which email the contact
        holds and since when, read after HubSpot was told. Recording an answer again, or an older one late, changes
        nothing. Durable on return.

        `asked_at_ms` is when the call was begun, in milliseconds since 1970 UTC. After a merge, a deletion, a restoration,
        a 404 or `forget` what HubSpot said before does not count, and HubSpot's own time of the contact may not move for
        years: an answer to a call that was begun 5 s after that was heard, or later, is believed all the same.

        Raises `InvalidAnswer`, `AnswerWithoutId`, `AnswerWithoutEmail`, `ContactConflict`, `ContactMissing`, `RateLimited`,
        `Refused`, `HubspotError`, `UnknownChange`, `ForeignChange`, `VidTaken`, `InvalidUserKey`; nothing about the user is
        written then, but `Refused` has ended the change. After that and `ContactMissing` no page names the email of the
        user's contact until a newer answer is recorded.
        """
        token = None if change is None else _input.change(change)
        done = call(self._core.record, _input.user_key(user), _input.answer(answer), token, _input.time(asked_at_ms))
        return Recorded(done.vid, done.canonical, done.created, done.email_observed)

    def observe(self, answer: Answer, *, asked_at_ms: Optional[int] = None) -> Observed:
        """Takes in what an answer says of contacts, without saying whose they are: of a search, a batch, or any call
        that `record` understands. All of it or nothing. `asked_at_ms` as for `record`; not for a search, which finds
        contacts as they were a while ago. Raises as `record`, of those that are not about a user.
        """
        done = call(self._core.observe, _input.answer(answer), _input.time(asked_at_ms))
        return Observed(tuple(done.contacts), tuple(done.missing))

    def apply_webhook(self, body: Union[bytes, str]) -> WebhookReport:
        """Takes in the body of a webhook, all of it or what of it erases a contact, however often it comes. Check it
        with `verify_signature` first. Raises `InvalidWebhook`: the same body will fail again. After any other error answer
        HubSpot with a 5xx, so that it sends the body again.
        """
        if not isinstance(body, (bytes, bytearray, memoryview)) and not _input.is_text(body):
            raise errors.InvalidWebhook("invalid webhook: body: it must be bytes or a str")
        done = call(self._core.apply_webhook, _input.answer(body))
        return WebhookReport(done.applied, done.repeated, done.ignored)

    def import_users(self, rows: Iterable[ImportRow]) -> ImportReport:
        """Takes in what the app has long known, for a first fill; give it some 100,000 rows at a time. What was linked
        otherwise stands against it, and so does a later email. Importing again changes nothing.

        Raises `InvalidUserKey`, `InvalidVid`, `InvalidEmail` of the first row that cannot be right; none is written then.
        `InvalidAnswer` for a time that is not from 1970 to 9999: whole 100,000s of rows before it stay.
        """
        done = call(self._core.import_users, self.converted(rows))
        return ImportReport(done.imported, done.vid_taken)

    @classmethod
    def converted(cls, rows: Iterable[ImportRow]) -> list[Any]:
        """The rows as the library takes them. Raises as `import_users`. Not for an app."""
        converted = []
        for row in cls._list(rows, "rows"):
            if not isinstance(row, ImportRow) or not _input.fits(row.email_at_ms):
                raise errors.InvalidOption("invalid option rows: each must be an ImportRow, its time an int")
            user, email = _input.user_key(row.user), _input.email(row.email)
            vid = _input.vid(row.vid)
            converted.append(native.ImportRow(user=user, vid=vid, email=email, email_at_ms=int(row.email_at_ms)))
        return converted

    def begin_email_change(self, user: UserKey) -> int:
        """Begins a change of the user's email and returns its token: until it is finished by `record` or abandoned, no
        page names an email of theirs. Call it *before* the app's own commit. The worker tells HubSpot a `quiet_period`
        later, and only while `is_change_outstanding`.

        Raises `InvalidUserKey`. After any error no change was begun, and the app must not change the email.
        """
        return int(call(self._core.begin_email_change, _input.user_key(user)))

    def abandon_email_change(self, user: UserKey, change: int) -> None:
        """Ends a change that did not happen: the app rolled back, and HubSpot was not told. Again: does nothing.

        Raises `UnknownChange`, `ForeignChange`, `InvalidUserKey`.
        """
        call(self._core.abandon_email_change, _input.user_key(user), _input.change(change))

    def is_change_outstanding(self, user: UserKey, change: int) -> bool:
        """Whether the user's change is outstanding. A worker asks this before it tells HubSpot, with the user's other
        jobs locked out. Raises `UnknownChange`, `ForeignChange`, `InvalidUserKey`.
        """
        return bool(call(self._core.is_change_outstanding, _input.user_key(user), _input.change(change)))

    def change_outstanding_since(self, user: UserKey, change: int) -> Optional[int]:
        """Since when the user's change has counted for every page that could name the email of their contact: when it
        was begun, or when the contact became another user's too, if that was heard later. Milliseconds since 1970 UTC,
        by the app's clock; None once it has ended. A worker asks when it runs, and waits until it is a `quiet_period`
        ago. Raises as `is_change_outstanding`.
        """
        found: Optional[int] = call(self._core.change_outstanding_since, _input.user_key(user), _input.change(change))
        return found

    def quiet_period(self) -> float:
        """How many seconds the worker must wait after the beginning of a change before it tells HubSpot: the longest
        `page_deadline` of any process that used the file within the last day, and 5 s more, which a page view may take to
        reach HubSpot.
        """
        return float(call(self._core.quiet_period)) / 1000

    def lease(self, user: UserKey, seconds: float, *, renew: Optional[int] = None) -> Optional[int]:
        """Takes the user's lease for so long, from 0.001 s to 1 hour: the right to tell HubSpot of the user, which one
        job has at a time, over all processes that use the file. With `renew`, the token of a lease, that one goes on for
        so long from now. Returns the token; None: another job has it, or the one to be renewed had ended. A worker takes
        it before it reads the user's email from the app's database, and renews it before each call that writes to
        HubSpot, for longer than the call can take. A process that dies with it leaves it to run out. Raises
        `InvalidOption`, `InvalidUserKey`.
        """
        held = None if renew is None else _input.lease(renew)
        time = _input.milliseconds(seconds, "lease")
        token: Optional[int] = call(self._core.lease, _input.user_key(user), time, held)
        return token

    def release(self, user: UserKey, lease: int) -> bool:
        """Ends the user's lease, so that the next job need not wait for its deadline. False: it had ended already.
        Raises `InvalidUserKey`.
        """
        return bool(call(self._core.release, _input.user_key(user), _input.lease(lease)))

    def stale_changes(self, *, older_than: float, limit: int = 1000) -> Sequence[StaleChange]:
        """The changes begun `older_than` seconds ago or longer and still outstanding, oldest first. Their users' pages
        give the id alone until an answer that is read now is recorded with the token.
        """
        age, most = _input.milliseconds(older_than, "older_than"), _input.count(limit, "limit", 2**32 - 1)
        found = call(self._core.stale_changes, age, most)
        return [StaleChange(one.user, one.token, one.begun_at_ms) for one in found]

    def users_to_read(
        self, *, confirmed: bool = False, older_than: float = 0, after: Optional[UserToRead] = None, limit: int = 100
    ) -> Sequence[UserToRead]:
        """Linked users whose contacts a job is to read from HubSpot, the longest unread first, that come after `after`,
        the last of a list before. `confirmed` false: those whose pages give the id alone since HubSpot has not said which
        email it holds for the contact now, but for those read within `older_than` seconds who have not become doubtful
        since. True: those last read, or last confirmed, longer ago than that. Finding nobody takes microseconds.
        """
        age, most = _input.milliseconds(older_than, "older_than"), _input.count(limit, "limit", 2**32 - 1)
        last = None if after is None else native.UserToRead(user=after.user, vid=after.vid, read_at_ms=after.read_at_ms)
        found = call(self._core.users_to_read, bool(confirmed), age, last, most)
        return [UserToRead(one.user, one.vid, one.read_at_ms) for one in found]

    def conflicts(self, *, after: Optional[UserKey] = None, limit: int = 100) -> Sequence[Conflict]:
        """Users whose email another contact holds, or whose contact is another user's, as `record` was told by
        `ContactConflict` and `VidTaken`: in the order of their keys, those after the user `after`, from 0 to `limit`.
        One is out of the list once HubSpot has merged the two, the user was forgotten, or `end_conflict`. Raises
        `InvalidUserKey`, `InvalidOption`.
        """
        last = None if after is None else _input.user_key(after)
        found = call(self._core.conflicts, last, _input.count(limit, "limit", 2**32 - 1))
        return [Conflict(one.user, one.vid, one.holder, one.why, one.since_ms) for one in found]

    def end_conflict(self, user: UserKey) -> None:
        """Says that the user's conflict is over: they are agreed, or somebody has decided. Raises `InvalidUserKey`."""
        call(self._core.end_conflict, _input.user_key(user))

    def refusal(self, user: UserKey) -> Optional[str]:
        """Why a worker must make no contact for a user who has none: `privacy_deletion`, `invalid_email` or
        `required_property`, where HubSpot refused their email for good and no change is outstanding; `privacy_deletion`
        too, with or without a change, where the user's own contact was erased for privacy, until the app links or
        forgets them. None: there is no reason. Raises `InvalidUserKey`.
        """
        found: Optional[str] = call(self._core.refusal, _input.user_key(user))
        return found

    def users_of(self, vid: int) -> Sequence[str]:
        """All users of a contact as text, an integer in decimal, by any of the ids that were merged into it. Raises
        `InvalidVid`.
        """
        return list(call(self._core.users_of, _input.vid(vid)))

    def doubt_all(self) -> None:
        """Doubts all that HubSpot has said of every contact: for an old copy of the file that was put back, before
        anything renders pages. On return no page names an email until HubSpot says something newer of the contact or a
        read says it that is begun 5 s later (`users_to_read` lists them). Some 20 s for a million contacts, with others'
        writes in between; after an error, call it again.
        """
        call(self._core.doubt_all)

    def explain(self, user: UserKey, email: Optional[str]) -> Explanation:
        """Why a page says of the user what it says, in sentences. Reads the file: not for a page itself."""
        found = call(self._core.explain, _input.user_key(user), _input.email(email))
        return Explanation(_decision(found.decision), tuple(found.sentences))

    def forget(self, user: UserKey) -> bool:
        """Takes out all that is held on the user. False: nothing was held. On return nothing of it is left in the file.
        After `Busy`, call again.
        """
        return bool(call(self._core.forget, _input.user_key(user)))

    def export(self, user: UserKey) -> str:
        """All that the file holds on the user, as a JSON object. Of emails there are keyed fingerprints only."""
        return str(call(self._core.export, _input.user_key(user)))

    def verify(self) -> list[str]:
        """What is wrong with the file; empty: nothing. Reads all of it, minutes at millions of users."""
        return list(call(self._core.verify))

    def backup(self, path: Path) -> None:
        """Copies the file, as of one commit, to a new file of mode 0600; nobody waits for it. Its key stays wrapped
        under the secret. Raises `CannotOpen` where the new file is there already or cannot be made.
        """
        call(self._core.backup, _input.path(path))

    def stats(self) -> Stats:
        """What this handle has done in this process."""
        found = call(self._core.stats)
        return Stats(**{name: getattr(found, name) for name in Stats.__dataclass_fields__})
