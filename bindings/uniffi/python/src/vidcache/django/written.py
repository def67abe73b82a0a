"""What a statement writes, read from its SQL by a scanner that knows texts in quotes, brackets, comments and
placeholders. What is beyond it is said to be not understood, rather than guessed at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

MOST = 1000
"""Rows that one statement may be about: each is a write of vidcache's file."""


def positional(params: Any) -> Optional[tuple[Any, ...]]:
    """A statement's parameters, in their order; None: they have names."""
    return () if params is None else tuple(params) if isinstance(params, (list, tuple)) else None


class UnseenEmailChange(RuntimeError):
    """A statement would change emails of users, or whether they may be used, and does not say whose in a way that can
    be understood; or it is about too many."""


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

    def narrow(self, rows: Any, params: Any) -> Any:
        """Of a query of the table's rows those that the UPDATE is about, which must be understood."""
        if not self.where:
            return rows
        # Without parameters a % is one: Django asks the database as it is.
        where = self.where if params is not None else self.where.replace("%", "%%")
        return rows.extra(where=[where], params=tuple(params or ())[self.placeholders :])


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


_COLUMNS = re.compile(r"\s*\(([^()]*)\)")
_OF_VALUES = re.compile(r"%s|::[\w ]+(?:\(\d+\))?(?:\[\])?|\bVALUES\b|\bSELECT\s+\*\s+FROM\s+UNNEST\b|[(),;\s]", re.IGNORECASE)


@lru_cache(maxsize=1024)
def inserted(sql: str, table: str, column: str) -> Optional[tuple[int, int]]:
    """How many columns an INSERT into the table gives, and which of them is that column: the parameters are one row
    after the other, or (PostgreSQL's UNNEST) one column after the other. None: it is no such INSERT. (0, 0): it
    cannot be understood. """
    into = re.match(rf"\s*(INSERT|REPLACE)([\w\s]*?)\s+INTO\s+(?:[\w\"`]+\.)?[\"`]?{re.escape(table)}(?=[\"`\s(])[\"`]?", sql, re.IGNORECASE)
    if into is None:
        return None
    columns = _COLUMNS.match(sql, into.end())
    if columns is None or "REPLACE" in (into[1] + into[2]).upper():
        return 0, 0
    names = [name.strip().strip('"`') for name in columns[1].split(",")]
    values = re.split(r"\b(?:RETURNING|ON\s+CONFLICT\s+DO\s+NOTHING)\b", sql[columns.end() :], maxsplit=1, flags=re.IGNORECASE)[0]
    if column not in names or _OF_VALUES.sub("", values):
        return 0, 0
    return len(names), names.index(column)
