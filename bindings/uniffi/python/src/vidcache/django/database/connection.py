"""The project's own connection to its PostgreSQL: none is opened for vidcache, and none is kept."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional, TypeVar

from django.db import Error as DatabaseError
from django.db import connections, transaction

from ... import errors
from ..._library import error_of

Result = TypeVar("Result")

TRIES = 5
"""How often what another transaction stood in the way of is tried, outside a transaction of the project's."""
PASSING = ("40001", "40P01")
"""SQLSTATEs that end with the next try, as a rule."""


class Refused(Exception):
    """What the server said to a statement, by its SQLSTATE; empty where no server answered."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class Connection:
    """Of one of DATABASES. Every method raises `VidcacheError`, which quotes nothing of the server's, for what the
    server refused."""

    def __init__(self, alias: str, statements: Any) -> None:
        self.alias = alias
        self._statements = statements

    def ask(self, sql: str) -> Optional[str]:
        """The one text that it gives; None: no row. Where it fails, the project's own transaction goes on."""
        return self._translated(lambda: self._apart(lambda: self._value(sql)))

    def ask_prepared(self, name: str, sql: str, parameters: Sequence[str]) -> Optional[str]:
        """`ask` with a statement that is kept prepared on the connection, by its text alone, since Django's clients
        keep none unless they are told to. Not where the project says that it has a pooler, which hands out another
        connection each time: DISABLE_SERVER_SIDE_CURSORS, as Django's documentation wants it there. `parameters`: texts
        of digits and `/:,` alone, so there is nothing to quote.
        """
        given = [f"'{parameter}'" for parameter in parameters]
        if self._settings().get("DISABLE_SERVER_SIDE_CURSORS"):
            for place, parameter in enumerate(given, 1):
                sql = sql.replace(f"${place}", parameter)
            return self.ask(sql)
        return self._translated(lambda: self._apart(lambda: self._execute_prepared(name, sql, given)))

    def run_with_the_app(self, sql: str, *, using: Optional[str] = None, apart: bool = False) -> None:
        """Runs what belongs to the project's own transaction, and ends with it. `apart`: a failure leaves that as it
        was."""
        run = Connection(using or self.alias, self._statements)
        run._translated(lambda: run._apart(lambda: run._run(sql)) if apart else run._run(sql))

    def keep(self, sql: str) -> None:
        """Runs what the library keeps for itself."""
        self._translated(lambda: self._apart(lambda: self._run(sql)))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction of its own, or a part of the project's. Within it `inside_*` send the statements."""
        inside = self.is_in_transaction()
        with transaction.atomic(using=self.alias):
            if not inside:
                # In READ COMMITTED a statement sees what others have committed while it waited for them.
                self._run("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
            yield

    def retried(self, work: Callable[[], Result]) -> Result:
        """Does what is one transaction, again where a deadlock broke it off, unless the project's own work went with
        it."""
        inside = self.is_in_transaction()
        for tries in range(1, TRIES + 1):
            try:
                return self._translated(work)
            except errors.Busy as error:
                cause = error.__cause__
                passing = isinstance(cause, Refused) and cause.sqlstate in PASSING
                if inside or not passing or tries == TRIES:
                    raise
            time.sleep(random.random() * 0.05 * tries)
        raise AssertionError

    def inside_ask(self, *statements: str) -> Optional[str]:
        """In `transaction`: the answer of the last."""
        for sql in statements[:-1]:
            self._run(sql)
        return self._value(statements[-1])

    def inside_run(self, statements: Sequence[str]) -> None:
        """In `transaction`."""
        if statements:
            self._run(";\n".join(statements))

    def is_in_transaction(self) -> bool:
        """Whether a transaction of the project's is open: what is read then may never be committed."""
        return bool(connections[self.alias].in_atomic_block or not self._is_idle())

    def vendor(self) -> str:
        """`postgresql`, one hopes."""
        return str(connections[self.alias].vendor)

    def _settings(self) -> Any:
        return connections[self.alias].settings_dict

    def _execute_prepared(self, name: str, sql: str, given: Sequence[str]) -> Optional[str]:
        connection = connections[self.alias]
        connection.ensure_connection()
        # Of this very connection to the server: Django makes another one under the same object.
        kept: tuple[Any, set[str]] = connection.__dict__.get("vidcache_prepared", (None, set()))
        if kept[0] is not connection.connection:
            kept = (connection.connection, set())
            connection.__dict__["vidcache_prepared"] = kept
        try:
            if name not in kept[1]:
                types = ", ".join("text" for _ in given)
                self._run(f"PREPARE {name} ({types}) AS {sql}")
                kept[1].add(name)
            return self._value(f"EXECUTE {name} ({', '.join(given)})")
        except DatabaseError as error:
            # One that the server has no more (after a DISCARD ALL), or has all the same, is right for the next page.
            state = _sqlstate(error)
            if state == "26000":
                kept[1].discard(name)
            elif state == "42P05":
                kept[1].add(name)
            raise

    def _apart(self, work: Callable[[], Result]) -> Result:
        """PostgreSQL ends a transaction in which a statement failed, but for a part of it."""
        connection = connections[self.alias]
        if not self.is_in_transaction():
            if connection.get_autocommit():
                return work()
            # What is sent now begins a transaction, which nobody would end.
            try:
                done = work()
            except BaseException:
                connection._rollback()
                raise
            connection._commit()
            return done
        with transaction.atomic(using=self.alias):
            return work()

    def _is_idle(self) -> bool:
        """Whether no transaction was begun: with autocommit off, by hand or while Django ends one, the driver knows."""
        connection = connections[self.alias]
        return connection.get_autocommit() or connection.connection is None or int(connection.connection.info.transaction_status) == 0

    def _value(self, sql: str) -> Optional[str]:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def _run(self, sql: str) -> None:
        with connections[self.alias].cursor() as cursor:
            cursor.execute(sql)

    def _translated(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except DatabaseError as error:
            connection = connections[self.alias]
            state = "25P02" if connection.in_atomic_block and connection.needs_rollback else _sqlstate(error)
            if not connection.in_atomic_block:
                # The next statement is given another connection, if this one is gone.
                connection.close_if_unusable_or_obsolete()
            raise error_of(self._statements.failure(state)) from Refused(state)


def _sqlstate(error: BaseException) -> str:
    cause = error.__cause__
    # psycopg 3 and psycopg2.
    return str(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")

