"""Whether a user's email may be used may be asked of another table: `has_vid(…, usable=…, told_by=EmailAddress)`.

Every INSERT and UPDATE of that table that Django sends is seen, as those of the users' own are (`statements`): the
users whom its rows belong to are asked before and after, and of each whose email may be used from then on a change is
begun, in the transaction that writes the row. Nobody sees it before the commit, so that is in time. A row that is
deleted begins nothing: pages no longer name that email, and HubSpot keeps it. """

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Optional, Union

from . import change
from .declaration import Declaration
from .written import MOST, UnseenEmailChange, Written, inserted, positional, written

Rows = Union[tuple[int, int], Written]
"""What an INSERT gives, as `inserted` says it, or what an UPDATE is about."""


def writing(declaration: Declaration, text: str) -> Optional[Rows]:
    """What the statement writes of the table that the declaration's `usable` asks; None: nothing."""
    if declaration.told_by is None or declaration.asked._meta.db_table not in text:
        return None
    table, column = declaration.asked._meta.db_table, declaration.owner.column
    values = inserted(text, table, column)
    return written(text, table, column, True) if values is None else values


def execute_and_ask(
    declaration: Declaration, rows: Rows, execute: Callable[..., Any], text: str, sql: Any, params: Any, many: bool, context: Any
) -> Any:
    """Sends the statement, and begins the changes that it makes necessary. Raises UnseenEmailChange, and as
    `change.begin`: then it is rolled back."""
    connection = context["connection"]
    with change.in_transaction(connection, text):
        owners = None if many else _owners(declaration, rows, params, connection.alias)
        if owners is None or len(owners) > MOST:
            raise UnseenEmailChange(
                f"vidcache cannot see whose rows of {declaration.asked._meta.db_table} this statement writes, or it writes more than "
                f"{MOST}; they say whose email may be used, so it is not sent. Save the rows, or write them within "
                "`with hubspot_emails_will_change(users):`"
            )
        # Locked, so that nobody changes the email itself in between.
        users = declaration.locked(connection).filter(**{f"{declaration.owner.target_field.name}__in": owners})
        unnamed = [user.pk for user in users if declaration.email_of(user) is None] if owners else []
        result = execute(sql, params, many, context)
        begin_if_usable(declaration, unnamed, connection.alias)
        return result


def begin_if_usable(declaration: Declaration, pks: Iterable[Any], alias: str) -> None:
    """Of those whose email could not be used before a statement was sent: whose can be now has changed it, as HubSpot
    sees it."""
    found = list(pks)
    for user in declaration.rows(alias).filter(pk__in=found) if found else ():
        if declaration.email_of(user) is not None:
            change.begin(declaration, user, alias)


def _owners(declaration: Declaration, rows: Rows, params: Any, alias: str) -> Optional[set[Any]]:
    """What the rows' foreign key to the users holds, before the statement and after it. None: that cannot be
    understood."""
    given = positional(params)
    if given is None:
        return None
    if not isinstance(rows, Written):
        columns, at = rows
        if not columns or not given or len(given) % columns:
            return None
        # One value for each row, or PostgreSQL's list of all.
        return _values(value for found in given[at::columns] for value in (found if isinstance(found, list) else [found]))
    if rows.where is None:
        return None
    found = rows.narrow(declaration.asked._base_manager.using(alias), params)
    owners = _values(found.values_list(declaration.owner.attname, flat=True)[: MOST + 1])
    return owners if rows.value is None else owners | _values([given[rows.value]])


def _values(found: Iterable[Any]) -> set[Any]:
    return {value for value in found if value is not None}
