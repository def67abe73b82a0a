"""`Database`: what `vidcache.Cache` does of a file, of the rows in the project's own PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

from ... import _input, errors
from ..._input import HIGHEST, Answer, UserKey
from ..._library import call, error_of, native
from ...cache import Cache
from ...values import (
    Conflict,
    Decision,
    Explanation,
    Identity,
    ImportReport,
    ImportRow,
    Observed,
    Recorded,
    StaleChange,
    UserToRead,
    WebhookReport,
)
from ..failure import report_seldom
from .connection import Connection

UPKEEP_EVERY = 3600.0
"""Seconds after which a process says anew how long its pages name an email, and takes out what ended long ago."""
MANY = 500
"""Users of one statement."""
AGES_MS = 100 * 365 * 86_400_000
"""Longer than any quiet period: how much of it is left says how long ago it began."""


@dataclass(frozen=True)
class DatabaseStats:
    """What this process has asked, and what it keeps of that."""

    asks: int = 0
    """Pages that asked."""
    walks: int = 0
    """Of these, those that took a second statement, of a user whose contact is or was another one's too."""
    stale: int = 0
    """Pages of which nobody answered, or the answer was not believed."""
    last_error: Optional[str] = None
    """The code of why."""
    hits: int = 0
    """Pages that memory answered. From here on: where answers are kept (`max_age`)."""
    looks: int = 0
    """Answers that brought memory up to date."""
    forgotten: int = 0
    """How often everything was forgotten, since it could not be shown that nothing was missed."""
    entries: int = 0
    """Users in memory."""
    bytes: int = 0
    """What they take."""


@dataclass(frozen=True)
class _ToRead(UserToRead):
    """One that knows from where its list goes on; None: it was the last part."""

    place: Optional[int] = None


class Database:
    """What its methods take, return and raise is what `Cache`'s do, but for these:

    - A page asks the database, by one statement for nearly every user, or, with `max_age`, memory. Where it cannot be
      asked, or its answer may not be believed (a replica, a snapshot that is too old, another secret), a page goes out
      and says less: its reason is `stale`, and it is reported. The time for which a page may name an email is shortened
      by the age of the answer.
    - `begin_email_change` belongs to the transaction that is open on the connection: the change is there if and only if
      that is committed, so there is nothing to abandon.
    - Whatever else writes has a transaction of its own, or is a part of the project's where one is open.
    - `Storage` is raised where the database fails, `TablesUnusable` where it cannot be believed, and `Busy` where it kept
      a statement waiting for too long.

    Any thread may share it, and so may a fork: it holds no connection. Like the ORM, not from a coroutine.
    """

    def __init__(
        self,
        portal_id: int,
        *,
        secret: Union[bytes, str, None] = None,
        database: str = "default",
        schema: str = "public",
        loader_host: str = "js.hs-scripts.com",
        page_deadline: float = 10.0,
        old_secrets: Sequence[Union[bytes, str]] = (),
        max_age: float = 0,
        memory: int = 32 << 20,
    ) -> None:
        """`database`: which of DATABASES has the tables, of the server that is written to. `schema`: in which of its
        schemas they are. `max_age`: for how many seconds answers are kept: 0, not at all; from 1 to half of
        `page_deadline`. `memory`: the most bytes that they take. The others: as of `Cache`. Sets the tables up, if nobody
        has.

        Raises `InvalidPortal`, `InvalidSecret`, `InvalidOption` for the arguments; `TablesUnusable`, `WrongPortal`,
        `WrongSecret`, `NewerSchema` for what is in the database; `Storage`, `Busy`.
        """
        if not _input.fits(portal_id):
            raise errors.InvalidPortal("invalid portal id: it must be an int from 1 to 2^63 - 1")
        options = native.OpenOptions(
            secret=_input.secret(secret),
            loader_host=_input.optional_text(loader_host, "loader_host"),
            memory=_input.count(memory, "memory", HIGHEST),
            busy_timeout_ms=None,
            page_deadline_ms=_input.milliseconds(page_deadline, "page_deadline"),
            full=True,
            old_secrets=_input.secrets(old_secrets),
        )
        kept = _input.milliseconds(max_age, "max_age") or None
        named = _input.optional_text(schema, "schema") or ""
        self._core: Any = call(native.Statements.open, named, int(portal_id), options, kept)
        self._connection = Connection(database, self._core)
        if self._connection.vendor() != "postgresql":
            raise errors.TablesUnusable(
                f'VIDCACHE["store"] = "database" needs PostgreSQL, and DATABASES["{database}"] is {self._connection.vendor()}: use the file '
                '(VIDCACHE["path"]), which serves the processes of one host'
            )
        # By names of their own: two of a process may have other schemas.
        statements = {"page": self._core.prepared(), "look": self._core.prepared_look(), "walk": self._core.prepared_walk()}
        self._prepared = {what: (f"vidcache_{what}_{abs(hash(sql)):x}", sql) for what, sql in statements.items()}
        self._keeps = kept is not None
        self._counts = {"asks": 0, "walks": 0, "stale": 0}
        self._last_error: Optional[str] = None
        self._closed = False
        self._kept_up_at = 0.0
        self._set_up()

    def _set_up(self) -> None:
        make, announce, ask = call(self._core.set_up)
        key = self._connection.ask(ask) or ""
        if not key:
            self._connection.keep(make)
            key = self._connection.ask(ask) or ""
        anew = call(self._core.take_key, key)
        if anew is not None:
            self._connection.keep(anew)
        self._connection.keep(announce)
        # What is said in a transaction of the project's may be rolled back, so it is said again.
        self._kept_up_at = float("-inf") if self._connection.is_in_transaction() else _clock()

    def __repr__(self) -> str:
        return f"<vidcache.django.database.store.Database of portal {self.portal_id}>"

    @property
    def portal_id(self) -> int:
        """The HubSpot account that the tables belong to."""
        return int(self._core.portal_id())

    def made_at(self) -> float:
        """When the tables were set up, in seconds since 1970: what was known before that is not in them."""
        return float(self._core.made_at_ms() or 0) / 1000

    def close(self) -> None:
        """Nothing is held that would have to be closed. Every later call raises `Closed`."""
        self._closed = True

    # Pages.

    def decide(self, user: UserKey, email: Optional[str]) -> Decision:
        """`Cache.decide`."""
        found = self._page(user, email, native.PageForm.DECISION()).decision
        return Decision(found.email, found.id, found.reason)

    def decide_many(self, users: Iterable[tuple[UserKey, Optional[str]]]) -> list[Decision]:
        """`Cache.decide_many`, a statement for each."""
        return [self.decide(user, email) for user, email in users]

    def snippet(self, user: UserKey, email: Optional[str], *, nonce: Optional[str] = None) -> str:
        """`Cache.snippet`."""
        return str(self._page(user, email, self._snippet(nonce)).text)

    def page_data(self, user: UserKey, email: Optional[str]) -> dict[str, Any]:
        """`Cache.page_data`."""
        return _data(self._page(user, email, native.PageForm.DATA()))

    def anonymous_snippet(self, *, nonce: Optional[str] = None) -> str:
        """`Cache.anonymous_snippet`."""
        return str(call(self._core.anonymous_page, self._snippet(nonce)).text)

    def signed_out_snippet(self, *, nonce: Optional[str] = None) -> str:
        """`Cache.signed_out_snippet`."""
        return str(call(self._core.signed_out_page, self._snippet(nonce)).text)

    def anonymous_page_data(self) -> dict[str, Any]:
        """`Cache.anonymous_page_data`."""
        return _data(call(self._core.anonymous_page, native.PageForm.DATA()))

    def signed_out_page_data(self) -> dict[str, Any]:
        """`Cache.signed_out_page_data`."""
        return _data(call(self._core.signed_out_page, native.PageForm.DATA()))

    @staticmethod
    def _snippet(nonce: Optional[str]) -> Any:
        return native.PageForm.SNIPPET(_input.optional_text(nonce, "nonce"))

    def _page(self, user: UserKey, email: Optional[str], form: Any) -> Any:
        """Never raises for the database."""
        self._open()
        about = (_input.user_key(user), _input.email(email), form, self._core.look())
        step = call(self._core.page, *about)
        if step.is_PAGE():
            return step
        parameters = step.parameters
        self._counts["asks"] += 1
        try:
            first = self._prepared["look" if step.looks else "page"]
            step = call(self._core.reply, *about, self._connection.ask_prepared(*first, parameters) or "")
            if step.is_MORE():
                self._counts["walks"] += 1
                step = call(self._core.reply, *about, self._connection.ask_prepared(*self._prepared["walk"], parameters) or "")
        except (errors.Storage, errors.Busy, errors.TablesUnusable) as error:
            self._stale(error)
            return call(self._core.reply, *about, None)
        if step.why is None:
            self._keep_up()
        else:
            self._stale(error_of(step.why))
        return step

    def _stale(self, error: errors.VidcacheError) -> None:
        self._counts["stale"] += 1
        self._last_error = error.code
        report_seldom("pages say less than they could of who their visitors are", error)

    def _keep_up(self) -> None:
        if _clock() - self._kept_up_at < UPKEEP_EVERY or self._connection.is_in_transaction():
            return
        self._kept_up_at = _clock()
        try:
            for sql in self._core.upkeep():
                self._connection.keep(sql)
        except errors.VidcacheError as error:
            report_seldom("a process did not say anew how long its pages name an email", error)

    # What the app and HubSpot say.

    def link(self, user: UserKey, vid: int) -> None:
        """`Cache.link`."""
        self._do(native.Errand.LINK(user=_input.user_key(user), vid=_input.vid(vid), shared=False))

    def link_shared(self, user: UserKey, vid: int) -> None:
        """`Cache.link_shared`."""
        self._do(native.Errand.LINK(user=_input.user_key(user), vid=_input.vid(vid), shared=True))

    def record(self, user: UserKey, answer: Answer, *, change: Optional[int] = None, asked_at_ms: Optional[int] = None) -> Recorded:
        """`Cache.record`."""
        token = None if change is None else _input.change(change)
        about = {"user": _input.user_key(user), "answer": _input.answer(answer), "change": token, "asked_at_ms": _input.time(asked_at_ms)}
        done = self._do(native.Errand.RECORD(**about)).recorded
        return Recorded(done.vid, done.canonical, done.created, done.email_observed)

    def observe(self, answer: Answer, *, asked_at_ms: Optional[int] = None) -> Observed:
        """`Cache.observe`."""
        done = self._do(native.Errand.OBSERVE(answer=_input.answer(answer), asked_at_ms=_input.time(asked_at_ms))).observed
        return Observed(tuple(done.contacts), tuple(done.missing))

    def apply_webhook(self, body: Union[bytes, str]) -> WebhookReport:
        """`Cache.apply_webhook`."""
        if not isinstance(body, (bytes, bytearray, memoryview)) and not _input.is_text(body):
            raise errors.InvalidWebhook("invalid webhook: body: it must be bytes or a str")
        done = self._do(native.Errand.APPLY_WEBHOOK(body=_input.answer(body))).report
        return WebhookReport(done.applied, done.repeated, done.ignored)

    def import_users(self, rows: Iterable[ImportRow]) -> ImportReport:
        """`Cache.import_users`, in a transaction for each 500."""
        converted = Cache.converted(rows)
        imported = taken = 0
        for at in range(0, len(converted), MANY):
            done = self._do(native.Errand.IMPORT_USERS(rows=converted[at : at + MANY])).report
            imported, taken = imported + done.imported, taken + done.vid_taken
        return ImportReport(imported, taken)

    def begin_email_change(self, user: UserKey, *, using: Optional[str] = None, apart: bool = False) -> int:
        """Begins a change in the transaction that is open on the connection, of `using` if it is another one: if that
        is rolled back there never was one. `apart`: a failure leaves the transaction as it was. Raises
        `InvalidUserKey`, `Storage`, `TablesUnusable`, `Busy`.
        """
        self._open()
        begun = call(self._core.begin, _input.user_key(user))
        self._connection.run_with_the_app(begun.statement, using=using, apart=apart)
        return int(begun.token)

    def see_email_change(self, change: int) -> None:
        """Says that the change is committed, so that its quiet period begins. Of a transaction that is open nobody
        knows that."""
        self._see(call(self._core.see, _input.change(change)))

    def abandon_email_change(self, user: UserKey, change: int) -> None:
        """`Cache.abandon_email_change`; after a rollback there is nothing to abandon."""
        self._do(native.Errand.ABANDON(user=_input.user_key(user), change=_input.change(change)))

    def is_change_outstanding(self, user: UserKey, change: int) -> bool:
        """`Cache.is_change_outstanding`."""
        return bool(self._read(native.Errand.IS_OUTSTANDING(user=_input.user_key(user), change=_input.change(change))).value)

    def change_outstanding_since(self, user: UserKey, change: int) -> Optional[int]:
        """Since when the user's change was seen to be committed, which is what the quiet period is counted from: by
        PostgreSQL's clock, said as a time of this host's in milliseconds since 1970. A change that nobody has seen is
        seen by this. None once it has ended. Raises as `is_change_outstanding`.
        """
        errand = native.Errand.TURN(user=_input.user_key(user), change=_input.change(change), at_least_ms=AGES_MS)
        found = self._read(errand)
        if found.turn == "ended":
            return None
        if found.statement is not None:
            self._see(found.statement)
        return time.time_ns() // 1_000_000 - (0 if found.wait_ms is None else AGES_MS - int(found.wait_ms))

    def quiet_period(self) -> float:
        """How many seconds the worker waits after a change was seen: the longest `page_deadline` that any process has
        written down within 30 days, and 5 s more."""
        self._open()
        return float(call(self._core.quiet_period, self._connection.ask(self._core.ask_quiet_period()) or "")) / 1000

    def lease(self, user: UserKey, seconds: float, *, renew: Optional[int] = None) -> Optional[int]:
        """`Cache.lease`; not in a transaction, for others who want it would wait for its end."""
        self._open()
        held = None if renew is None else _input.lease(renew)
        taken = call(self._core.lease, _input.user_key(user), _input.milliseconds(seconds, "lease"), held)
        return None if self._connection.ask(taken.statement) is None else int(taken.token)

    def release(self, user: UserKey, lease: int) -> bool:
        """`Cache.release`."""
        return self._connection.ask(call(self._core.release, _input.user_key(user), _input.lease(lease))) is not None

    def end_conflict(self, user: UserKey) -> None:
        """`Cache.end_conflict`."""
        self._do(native.Errand.END_CONFLICT(user=_input.user_key(user)))

    def forget(self, user: UserKey) -> bool:
        """`Cache.forget`."""
        return bool(self._do(native.Errand.FORGET(user=_input.user_key(user))).value)

    def doubt_all(self) -> None:
        """`Cache.doubt_all`, by one row: for a database that was put back, or failed over to a server that lacked
        more than a quiet period, before anything asks it. Raises `TablesUnusable` where there is no row that could say
        so."""
        self.quiet_period()  # Which raises where the tables are not believed.
        self._connection.keep(self._core.doubt_all())

    def copy(self, file: Cache) -> int:
        """Joins what a file of the same portal knows to the tables, as often as one likes. Returns how many statements
        it took. Raises `WrongPortal`, `TablesUnusable`."""
        self.quiet_period()  # As there.
        statements = call(self._core.copy, file._core)
        for sql in statements:
            self._connection.retried(lambda: self._written([sql]))  # noqa: B023
        return len(statements)

    # What is known.

    def resolve(self, user: UserKey) -> Optional[int]:
        """`Cache.resolve`, by a statement."""
        found = self.identity(user)
        return None if found is None else found.vid

    def identity(self, user: UserKey) -> Optional[Identity]:
        """`Cache.identity`."""
        found = self._read(native.Errand.RESOLVE(users=[_input.user_key(user)])).identities[0]
        return None if found is None else Identity(found.vid, found.external_id)

    def resolve_many(self, users: Iterable[UserKey]) -> list[Optional[int]]:
        """`Cache.resolve_many`, by a statement for each 500."""
        keys = [_input.user_key(user) for user in users]
        found: list[Any] = []
        for at in range(0, len(keys), MANY):
            found += self._read(native.Errand.RESOLVE(users=keys[at : at + MANY])).identities
        return [None if one is None else int(one.vid) for one in found]

    def is_known(self, user: UserKey) -> bool:
        """Whether a page or a job of this key could speak of anybody, or would not because of somebody."""
        return bool(self._read(native.Errand.KNOWS(user=_input.user_key(user))).value)

    def refusal(self, user: UserKey) -> Optional[str]:
        """`Cache.refusal`."""
        found: Optional[str] = self._read(native.Errand.REFUSAL(user=_input.user_key(user))).text
        return found

    def explain(self, user: UserKey, email: Optional[str]) -> Explanation:
        """`Cache.explain`, without the last events, which a file alone keeps."""
        found = self._read(native.Errand.EXPLAIN(user=_input.user_key(user), email=_input.email(email))).explanation
        decision = Decision(found.decision.email, found.decision.id, found.decision.reason)
        return Explanation(decision, tuple(found.sentences))

    def export(self, user: UserKey) -> str:
        """`Cache.export`."""
        return str(self._read(native.Errand.EXPORT(user=_input.user_key(user))).text)

    def users_of(self, vid: int) -> Sequence[str]:
        """`Cache.users_of`."""
        return list(self._read(native.Errand.USERS_OF(vid=_input.vid(vid))).texts)

    def stale_changes(self, *, older_than: float, limit: int = 1000) -> Sequence[StaleChange]:
        """`Cache.stale_changes`, by PostgreSQL's clock."""
        age, most = _input.milliseconds(older_than, "older_than"), _input.count(limit, "limit", 2**32 - 1)
        found = call(self._core.stale_changes, self._asked(self._core.ask_stale_changes, age, most))
        return [StaleChange(one.user, one.token, one.begun_at_ms) for one in found]

    def users_to_read(
        self, *, confirmed: bool = False, older_than: float = 0, after: Optional[UserToRead] = None, limit: int = 100
    ) -> Sequence[UserToRead]:
        """`Cache.users_to_read`, in the order of the ids that they were linked to. Fewer than the limit are not yet
        the end; none are."""
        age, most = _input.milliseconds(older_than, "older_than"), _input.count(limit, "limit", 2**32 - 1)
        place = after.place if isinstance(after, _ToRead) else None
        if after is not None and place is None:
            return []
        while True:
            answer = self._asked(self._core.ask_users_to_read, bool(confirmed), age, place, most)
            part = call(self._core.users_to_read, bool(confirmed), age, answer)
            place = part.next
            if part.users or place is None:
                return [_ToRead(one.user, one.vid, one.read_at_ms, place) for one in part.users]

    def conflicts(self, *, after: Optional[UserKey] = None, limit: int = 100) -> Sequence[Conflict]:
        """`Cache.conflicts`, in another order."""
        last, most = None if after is None else _input.user_key(after), _input.count(limit, "limit", 2**32 - 1)
        while True:
            part = call(self._core.conflicts, self._asked(self._core.ask_conflicts, last, most))
            last = part.next
            if part.conflicts or last is None:
                return [Conflict(one.user, one.vid, one.holder, one.why, one.since_ms) for one in part.conflicts]

    def verify(self) -> list[str]:
        """Whether the tables can be asked, written and believed: what is wrong; empty: nothing."""
        self.release(0, 0)  # A lease that nobody has: a write that writes nothing.
        steps = call(self._core.steps, native.Errand.RESOLVE(users=["0"]))
        found = (self._core.distrust(self._connection.ask(ask) or "") for ask in (self._core.probe(), steps.ask))
        return list(dict.fromkeys(why.text for why in found if why is not None))

    def timeouts(self) -> dict[str, str]:
        """How long the connection lets a statement wait, as PostgreSQL says it; "0": for ever."""
        return {name: self._connection.ask(f"SHOW {name}") or "" for name in ("lock_timeout", "statement_timeout")}

    def backup(self, path: object) -> None:
        """Raises InvalidOption: the rows are in the project's database, and in its backups."""
        raise errors.InvalidOption("the rows are in the app's database, and in its backups: there is no file to copy")

    def stats(self) -> DatabaseStats:
        """What this process has asked since it began."""
        kept = self._core.kept() if self._keeps else None
        memory = {} if kept is None else {name: getattr(kept, name) for name in ("hits", "looks", "forgotten", "entries", "bytes")}
        return DatabaseStats(**self._counts, last_error=self._last_error, **memory)

    def _open(self) -> None:
        if self._closed:
            raise errors.Closed("the cache was closed")

    def _asked(self, ask: Callable[..., str], *about: Any) -> str:
        self._open()
        return self._connection.ask(call(ask, *about)) or ""

    def _read(self, errand: Any) -> Any:
        self._open()
        steps = call(self._core.steps, errand)
        return call(self._core.read, errand, self._connection.ask(steps.ask) or "")

    def _do(self, errand: Any) -> Any:
        """In one transaction: the lock, the question, what is new. What is to be told once that is committed is raised
        then."""
        self._open()
        steps = call(self._core.steps, errand)
        finished = self._connection.retried(lambda: self._finished(errand, steps))
        self._keep_up()
        if finished.refused is not None:
            raise error_of(finished.refused)
        return finished.outcome

    def _finished(self, errand: Any, steps: Any) -> Any:
        with self._connection.transaction():
            finished = call(self._core.finish, errand, self._connection.inside_ask(steps.lock, steps.ask) or "")
            self._connection.inside_run(finished.statements)
        return finished

    def _written(self, statements: Sequence[str]) -> None:
        with self._connection.transaction():
            self._connection.inside_run(statements)

    def _see(self, sql: str) -> None:
        if not self._connection.is_in_transaction():
            self._connection.keep(sql)


def _data(step: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(step.text)
    return found


def _clock() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
