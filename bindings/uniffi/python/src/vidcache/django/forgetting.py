"""A user key is one person: what the file knows of a key goes with the row that had it.

A new row whose key the file knows (the database was reset or restored, or hands ids out again) takes nothing over:
inside its transaction all that was known is forgotten. A deleted row's user is forgotten once that is committed and
the row is gone. """

from __future__ import annotations

import json
import time
from typing import Any, Optional

from django.db import connections
from django.db.models.signals import post_delete, post_save

from .._page import logger
from ..cache import Cache
from . import change, get_cache, settings, unavailable
from .declaration import Declaration, declaration_of


def watch_all() -> None:
    """Hears of rows that are made and deleted."""
    post_save.connect(_saved, dispatch_uid="vidcache")
    post_delete.connect(_deleted, dispatch_uid="vidcache")


def is_known(key: Any) -> bool:
    """Whether a page or a job of this key could speak of anybody, or would not because of somebody."""
    cache = get_cache()
    if not isinstance(cache, Cache):
        return cache.is_known(key)  # By one statement.
    return cache.resolve(key) is not None or bool(change.changes_of(key)) or change.is_refused(key)


def _saved(sender: Any, instance: Any, created: bool, using: str, **_: Any) -> None:
    declaration = declaration_of(sender) if created else None
    if declaration is None or not settings.configured():
        return
    row_of: Optional[float] = None
    try:
        _forget_whose_key_it_was(declaration, instance)
    except BaseException as error:
        if isinstance(error, Exception) and unavailable.saves(error):
            row_of = time.time()
        elif not connections[using].in_atomic_block:
            # It is committed already, and its pages would speak of another person: no row is made, as in a
            # transaction.
            rows = declaration.rows(using).filter(pk=instance.pk)
            rows._raw_delete(using)
        if row_of is None:
            raise
    if row_of is not None or declaration.email_of(instance) is not None:
        change.sign_up(declaration, instance, using, row_of)


def _forget_whose_key_it_was(declaration: Declaration, user: Any) -> None:
    key = declaration.user_key(user)
    if is_known(key):
        _forget_former(key)


def make_up_for(key: Any, made_at: float) -> None:
    """What is done when a row is made, later: for a row that was made (`made_at`, seconds since 1970) while the file
    could not be asked. What was known before that is somebody else's."""
    held = json.loads(get_cache().export(key))
    since = [link["first_at"] for link in held["links"]]
    since += [begun["begun_at"] for begun in held["changes"] if begun["ended_at"] is None]
    if any(at is not None and at < made_at * 1000 for at in since):
        _forget_former(key)


def _forget_former(key: Any) -> None:
    get_cache().forget(key)
    logger.error("user %s: a row was made whose key the file knew of another user, who is forgotten", key)


def _deleted(sender: Any, instance: Any, using: str, **_: Any) -> None:
    declaration = declaration_of(sender)
    if declaration is None or not declaration.forget or not settings.configured():
        return
    pk, key = instance.pk, declaration.user_key(instance)

    def forget() -> None:
        # The same transaction may have made a new row of this key, and forgotten what was before it.
        if not declaration.rows(using).filter(pk=pk).exists():
            get_cache().forget(key)

    outcome = f"user {key} was deleted and is not forgotten: `manage.py vidcache_forget {key}` does it"
    change.join(change.Member(lambda: change.quietly(outcome, forget)), using)
