"""One change of an email, or one new user, as a member of the transaction that it is made in.

Django calls hooks after a commit, and tells nobody of a rollback: it drops the hooks of what was rolled back, of a
savepoint too. So a member is such a hook, and each connection that has one is watched: whichever member is no
longer among its hooks after a rollback was rolled back with it, and its change is abandoned. """

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Optional

from django.db import connections, transaction

from .._page import report
from ..cache import Cache
from ..errors import VidcacheError
from . import get_cache, settings, unavailable
from .declaration import Declaration


class Member:
    """A hook of a transaction: committed when it is called, rolled back when it is dropped."""

    __slots__ = ("commit_tried", "ended", "on_commit", "on_rollback")

    def __init__(self, on_commit: Callable[[], None], on_rollback: Optional[Callable[[], None]] = None) -> None:
        self.on_commit = on_commit
        self.on_rollback = on_rollback
        self.commit_tried = False
        self.ended = False

    def __call__(self) -> None:
        if not self.ended:
            self.ended = True
            self.on_commit()

    def dropped(self) -> None:
        """After COMMIT was tried a rollback may be none: if the connection broke, the database may have committed."""
        if self.ended:
            return
        self.ended = True
        if self.commit_tried:
            self.on_commit()
        elif self.on_rollback is not None:
            self.on_rollback()


def join(member: Member, using: str) -> None:
    """Makes it a member of the connection's transaction; without one it is committed at once.

    Raises TransactionManagementError where the app has switched autocommit off and manages transactions by hand.
    """
    connection = connections[using]
    members = _watched(connection)
    _settle(connection, members)
    members.append(member)
    # What an app's own hook raises ends those behind it, so what a member does raises nothing: see `quietly`.
    transaction.on_commit(member, using=using)


def _watched(connection: Any) -> list[Member]:
    found: Optional[list[Member]] = connection.__dict__.get("vidcache_members")
    if found is not None:
        return found
    members: list[Member] = []
    commit, rollback, savepoint_rollback = connection.commit, connection.rollback, connection.savepoint_rollback

    def watched_commit() -> None:
        for member in members:
            member.commit_tried = True
        commit()
        # First of all, since a hook of the app's that raises ends those behind it.
        connection.run_on_commit.sort(key=lambda hook: not isinstance(hook[1], Member))

    def watched_rollback() -> None:
        try:
            rollback()
        finally:
            _settle(connection, members)

    def watched_savepoint_rollback(sid: Any) -> None:
        try:
            savepoint_rollback(sid)
        finally:
            _settle(connection, members)

    connection.vidcache_members = members
    connection.commit = watched_commit
    connection.rollback = watched_rollback
    connection.savepoint_rollback = watched_savepoint_rollback
    return members


def _settle(connection: Any, members: list[Member]) -> None:
    hooks = {id(hook[1]) for hook in connection.run_on_commit}
    gone = [member for member in members if id(member) not in hooks]
    if gone:
        members[:] = [member for member in members if id(member) in hooks]
        for member in gone:
            member.dropped()


@contextmanager
def in_transaction(connection: Any, text: str) -> Iterator[None]:
    """Makes a statement and the changes that go with it one transaction: the one that there is, or one of their own.
    Raises TransactionManagementError where autocommit is off, so that nobody would hear how it ends.

    On SQLite a statement with RETURNING is its own transaction, which ends once its rows were fetched, after this: a
    change that was begun is not abandoned if that fails, and its job finds the email as it was. """
    if connection.in_atomic_block:
        yield
        return
    if not connection.get_autocommit():
        raise transaction.TransactionManagementError(
            "an email is changed with autocommit off: within `with transaction.atomic():` vidcache sees what becomes of it"
        )
    if connection.vendor == "sqlite" and "RETURNING" in text.upper():
        yield
        return
    with transaction.atomic(using=connection.alias):
        yield


def quietly(outcome: str, do: Callable[[], object]) -> None:
    """For what comes after a commit or a rollback: what fails is reported, and breaks nothing of the app's."""
    try:
        do()
    except Exception as error:
        report(outcome, error)


def begin(declaration: Declaration, user: Any, using: str) -> Optional[int]:
    """Begins a change of this user in the connection's transaction. After the commit a job is enqueued, after a
    rollback the change is abandoned. Returns its token; None: the file cannot be used, and the app wants its users
    saved all the same (`unavailable`), so the job is to begin it. Raises as `Cache.begin_email_change`: then the email
    must not be written. """
    from . import queue

    key = declaration.user_key(user)
    token: Optional[int] = None
    try:
        cache = get_cache()
        if isinstance(cache, Cache):
            token = cache.begin_email_change(key)
        else:
            token = cache.begin_email_change(key, using=using, apart=settings.saves_without_file())
    except (VidcacheError, OSError) as error:
        if not unavailable.saves(error):
            raise
    job = queue.payload(declaration, user, change=token, before=declaration.email_of(user), unbegun=token is None)

    def enqueue() -> None:
        if token is not None and not isinstance(cache, Cache):
            # Pages know of the change from now on.
            outcome = f"user {key}: the job has to come twice, since nobody wrote down when the change was committed"
            quietly(outcome, lambda: cache.see_email_change(token))
        if token is None:
            outcome = f"user {key}: no job was enqueued, so nobody begins the change: their pages give the id alone"
            quietly(outcome, lambda: queue.enqueue(job, 0))
        else:
            outcome = f"user {key}: no job was enqueued, so the change stays outstanding until vidcache_reconcile makes one"
            quietly(outcome, lambda: queue.enqueue(job, queue.quiet_period()))

    def abandon() -> None:
        # In the project's database it was rolled back with everything else.
        if token is not None and isinstance(cache, Cache):
            outcome = f"user {key}: a change was not abandoned, so it stays outstanding"
            quietly(outcome, lambda: get_cache().abandon_email_change(key, token))

    try:
        join(Member(enqueue, abandon), using)
    except BaseException:
        abandon()
        raise
    return token


def sign_up(declaration: Declaration, user: Any, using: str, row_of: Optional[float] = None) -> None:
    """Enqueues a new user's job once their row is committed. `row_of`: see `Memory`."""
    from . import queue

    job = queue.payload(declaration, user, signed_up_as=declaration.email_of(user), row_of=row_of)
    outcome = f"user {declaration.user_key(user)}: no job was enqueued, so vidcache_reconcile has to find them"
    join(Member(lambda: quietly(outcome, lambda: queue.enqueue(job, 0))), using)


def changes_of(key: Any) -> list[dict[str, Any]]:
    """The user's outstanding changes, as `Cache.export` has them."""
    return [change for change in _changes(key) if change["ended_at"] is None]


def is_refused(key: Any) -> bool:
    """Whether HubSpot has refused the email of a user without a contact for good, or their contact was erased for
    privacy."""
    return get_cache().refusal(key) is not None


def _changes(key: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(get_cache().export(key))["changes"]
    return found
