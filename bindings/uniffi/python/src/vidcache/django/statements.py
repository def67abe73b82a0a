"""Sees every UPDATE of an email that is sent through Django, whoever sends it: `save`, `QuerySet.update`,
`bulk_update`, the admin, `loaddata`, a migration, SQL of the app's own. A change is begun for each row that it is
about, in its transaction, before it is sent; what cannot be understood is refused.

What Django does not send is not seen: another program, a trigger, COPY, a cursor of the driver's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

from django.db import connections, transaction
from django.db.backends.signals import connection_created

from . import change, settings
from .declaration import Declaration, declaration_of, declared

MOST = 1000
"""Rows that one UPDATE may be about: each is a write of vidcache's file."""

_SAID: ContextVar[bool] = ContextVar("vidcache_said", default=False)


class UnseenEmailChange(RuntimeError):
    """A statement would change emails of users whom it does not name in a way that can be understood, or of too
    many."""


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
                    return _begin_first(declaration, found, execute, sql, params, many, context)
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
    sql: Any,
    params: Any,
    many: bool,
    context: Any,
) -> Any:
    connection = context["connection"]
    given = () if params is None else tuple(params) if isinstance(params, (list, tuple)) else None
    if found.where is None or many or given is None:
        raise UnseenEmailChange(
            f"vidcache cannot see whose {declaration.email} this statement changes, so no change was begun and it is not sent. "
            f"Save the users, or write them within `with hubspot_emails_will_change(users):` (table {declaration.table})"
        )
    with ExitStack() as stack:
        if not connection.in_atomic_block:
            if not connection.get_autocommit():
                raise transaction.TransactionManagementError(
                    "an email is changed with autocommit off: within `with transaction.atomic():` vidcache sees what becomes of it"
                )
            # The statement, and the change that goes with it, are one transaction either way.
            stack.enter_context(transaction.atomic(using=connection.alias))
        # Without parameters a % is one: Django asks the database as it is.
        where = found.where if params is not None else found.where.replace("%", "%%")
        users = _users(declaration, where, given[found.placeholders :], connection)
        begun = set()
        for user in users:
            if declaration.is_usable(user) and found.changes(declaration.field.value_from_object(user), given):
                change.begin(declaration, user, connection.alias)
                begun.add(user.pk)
        result = execute(sql, params, many, context)
        if declaration.usable is not None:
            _become_usable(declaration, [user for user in users if user.pk not in begun], connection.alias)
        return result


def _users(declaration: Declaration, where: str, params: tuple[Any, ...], connection: Any) -> list[Any]:
    """The rows as they are before, locked as the UPDATE is about to lock them, so that nobody changes them in
    between."""
    rows = declaration.rows(connection.alias)
    if where:
        rows = rows.extra(where=[where], params=params)
    if declaration.usable is None:
        # A migration may find a table that lacks a field which the model has by now.
        rows = rows.only(*declaration.columns())
    features = connection.features
    if features.has_select_for_update:
        rows = rows.select_for_update(no_key=features.has_select_for_no_key_update)
    users = list(rows[: MOST + 1])
    if len(users) > MOST:
        raise UnseenEmailChange(f"this statement changes more than {MOST} users' emails: write them in parts")
    return users


def _become_usable(declaration: Declaration, users: list[Any], alias: str) -> None:
    """Whose email could not be used before the UPDATE, and can be now: for HubSpot that is a change, begun in time
    since nobody sees the row before the commit. """
    was_not = [user.pk for user in users if not declaration.is_usable(user)]
    if was_not:
        for user in declaration.rows(alias).filter(pk__in=was_not):
            if declaration.email_of(user) is not None:
                change.begin(declaration, user, alias)


@dataclass(frozen=True)
class Written:
    """What an UPDATE of a table is about."""

    where: Optional[str]
    """The condition; empty: all rows; None: it cannot be understood."""
    placeholders: int
    """How many parameters come before the condition's."""
    value: Optional[int]
    """Which parameter is the new email; None: an expression, or the email is not written."""
    email: bool
    """Whether the email is written."""

    def changes(self, before: Any, params: tuple[Any, ...]) -> bool:
        """Whether the row's email is another one afterwards, as far as one can see: `save` writes every field."""
        if not self.email:
            return False
        return self.value is None or bool((before or None) != (params[self.value] or None))


_TOKEN = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/|[()]|%%|%s|%\(|\b(?:WHERE|FROM|RETURNING|ORDER|LIMIT)\b""",
    re.IGNORECASE | re.DOTALL,
)
_NOT_UNDERSTOOD = Written(None, 0, None, True)


@lru_cache(maxsize=1024)
def written(sql: str, table: str, column: str, any_column: bool) -> Optional[Written]:
    """What the statement writes of the table's column; None: nothing. `any_column`: every UPDATE of the table
    counts."""
    name, email = rf"(?:[\w\"`]+\.)?[\"`]?{re.escape(table)}[\"`]?", re.escape(column)
    sets = re.search(rf"\bUPDATE\s+(?:ONLY\s+)?{name}\s+(?:AS\s+\w+\s+)?SET\s", sql, re.IGNORECASE)
    if sets is None:
        # An INSERT that updates rows which are there: whose, it does not say.
        upsert = re.search(
            rf"\bINTO\s+{name}[\s(].*\bON\s+(?:CONFLICT|DUPLICATE\s+KEY)\b.*?\bUPDATE\b.*?\b{email}[\"`]?\s*=",
            sql,
            re.IGNORECASE | re.DOTALL,
        )
        return None if upsert is None else _NOT_UNDERSTOOD
    rest = sql[sets.end() :]
    end, where_at, where_end, tail = _parts(rest)
    assigned = rest[: where_at if where_at is not None else end]
    email_at = re.search(rf"(?:^|,|\.|\s)[\"`]?{email}[\"`]?\s*=\s*(?:(%s|NULL)\s*(?=,|$))?", assigned, re.IGNORECASE)
    if email_at is None and not any_column:
        return None
    if sql[: sets.start()].strip() or tail or _unbalanced(assigned):
        return _NOT_UNDERSTOOD if email_at else None
    value = None
    if email_at is not None and email_at[1] == "%s":
        value = _placeholders(assigned[: email_at.start(1)])
    condition = "" if where_at is None else rest[where_end:end].strip().rstrip("; \n")
    return Written(condition, _placeholders(assigned), value, email_at is not None)


def _parts(rest: str) -> tuple[int, Optional[int], int, bool]:
    """Where what follows SET ends, where its own WHERE begins and ends, and whether there is a part that is not
    understood."""
    depth, where_at, where_end = 0, None, 0
    for token in _TOKEN.finditer(rest):
        word = token[0].upper()
        if word in "()":
            depth += 1 if word == "(" else -1
        elif word == "%(":
            return len(rest), where_at, where_end, True
        elif depth == 0 and word == "WHERE":
            where_at, where_end = token.start(), token.end()
        elif depth == 0 and word in ("RETURNING", "ORDER", "LIMIT"):
            return token.start(), where_at, where_end, False
        elif depth == 0 and word == "FROM":
            return len(rest), where_at, where_end, True
    return len(rest), where_at, where_end, ";" in rest.rstrip().rstrip(";")


def _unbalanced(text: str) -> bool:
    tokens = [token[0] for token in _TOKEN.finditer(text)]
    return tokens.count("(") != tokens.count(")")


def _placeholders(text: str) -> int:
    return sum(token[0] == "%s" for token in _TOKEN.finditer(text))
