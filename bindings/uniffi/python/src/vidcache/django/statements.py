"""Sees every UPDATE of an email that is sent through Django, whoever sends it: `save`, `QuerySet.update`,
`bulk_update`, the admin, `loaddata`, a migration, SQL of the app's own. A change is begun for each row that it is
about, in its transaction, before it is sent; what cannot be understood is refused.

What Django does not send is not seen: another program, a trigger, COPY, a cursor of the driver's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Optional

from django.db import connections, transaction
from django.db.backends.signals import connection_created

from . import change, settings
from .declaration import Declaration, declaration_of, declared
from .elsewhere import begin_if_usable, execute_and_ask, writing
from .written import MOST, UnseenEmailChange, Written, positional, written

_SAID: ContextVar[bool] = ContextVar("vidcache_said", default=False)


@contextmanager
def hubspot_emails_will_change(users: Iterable[Any], *, using: Optional[str] = None) -> Iterator[None]:
    """For SQL that is refused otherwise: within it the app may write these users' emails, and no others', in any way.

    It is a transaction of its own (or a savepoint): changes are begun before the block, jobs enqueued after the
    commit, and changes abandoned after a rollback. `using`: the database, the users' own if None. """
    found = list(users)
    alias = using or next((_alias(user) for user in found), "default")
    with transaction.atomic(using=alias):
        for user in found:
            hubspot_email_will_change(user, using=alias)
        token = _SAID.set(True)
        try:
            yield
        finally:
            _SAID.reset(token)


def hubspot_email_will_change(user: Any, *, using: Optional[str] = None) -> Optional[int]:
    """Begins a change of a user's email, for what no UPDATE of their row tells: the email, or what `usable` asks
    for, stands in another table. To be called in the transaction that writes it, before the write. When that
    commits a job is enqueued; when it rolls back, the change is abandoned. Returns the change's token; None: it is begun later
    (VIDCACHE's `when_unavailable`).

    Raises LookupError (a model without `has_vid`), TransactionManagementError (no transaction: what is written
    afterwards would not be in it), and as `Cache.begin_email_change`; then nothing may be written. """
    declaration = declaration_of(user)
    if declaration is None:
        raise LookupError(f"{user.__class__.__name__} is no model with has_vid")
    alias = using or _alias(user)
    if not connections[alias].in_atomic_block:
        raise transaction.TransactionManagementError(
            "hubspot_email_will_change belongs into the transaction that writes the email: with transaction.atomic(): …"
        )
    return change.begin(declaration, user, alias)


def _alias(user: Any) -> str:
    return user._state.db or "default"


def watch_all() -> None:
    """Sees what is sent from now on, of connections that are open, too."""
    connection_created.connect(_watch, dispatch_uid="vidcache")
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)


def _watch(*, connection: Any, **_: Any) -> None:
    if not any(isinstance(one, _Wrapper) for one in connection.execute_wrappers):
        # In front: `connection.execute_wrapper` takes the last one off.
        connection.execute_wrappers.insert(0, _Wrapper())


class _Wrapper:
    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:
        text = sql if isinstance(sql, str) else _text(sql, context)
        for declaration in declared():
            if declaration.table in text and settings.configured() and not _SAID.get():
                found = written(text, declaration.table, declaration.field.column, declaration.usable is not None)
                if found is not None:
                    return _begin_first(declaration, found, execute, text, sql, params, many, context)
            rows = writing(declaration, text)
            if rows is not None and settings.configured() and not _SAID.get():
                return execute_and_ask(declaration, rows, execute, text, sql, params, many, context)
        return execute(sql, params, many, context)


def _text(sql: Any, context: Any) -> str:
    """The text of psycopg's composed SQL."""
    try:
        return str(sql.as_string(context["connection"].connection))
    except Exception:
        return str(sql)


def _begin_first(
    declaration: Declaration,
    found: Written,
    execute: Callable[..., Any],
    text: str,
    sql: Any,
    params: Any,
    many: bool,
    context: Any,
) -> Any:
    connection = context["connection"]
    given = positional(params)
    if found.where is None or many or given is None:
        raise UnseenEmailChange(
            f"vidcache cannot see whose {declaration.email} this statement changes, so no change was begun and it is not sent. "
            f"Save the users, or write them within `with hubspot_emails_will_change(users):` (table {declaration.table})"
        )
    with change.in_transaction(connection, text):
        users = _users(declaration, found, params, connection)
        begun = set()
        for user in users:
            if declaration.is_usable(user) and found.changes(declaration.field.value_from_object(user), given):
                change.begin(declaration, user, connection.alias)
                begun.add(user.pk)
        result = execute(sql, params, many, context)
        if declaration.usable is not None:
            unusable = [user.pk for user in users if user.pk not in begun and not declaration.is_usable(user)]
            begin_if_usable(declaration, unusable, connection.alias)
        return result


def _users(declaration: Declaration, found: Written, params: Any, connection: Any) -> list[Any]:
    """The rows as they are before, locked as the UPDATE is about to lock them, so that nobody changes them in
    between."""
    rows = found.narrow(declaration.locked(connection), params)
    if declaration.usable is None:
        # A migration may find a table that lacks a field which the model has by now.
        rows = rows.only(*declaration.columns())
    users = list(rows[: MOST + 1])
    if len(users) > MOST:
        raise UnseenEmailChange(f"this statement changes more than {MOST} users' emails: write them in parts")
    return users
