"""The standing work that leaves nobody unnamed, whatever was lost: a job, a webhook, the file. Hourly, as
`manage.py vidcache_reconcile`. Each run begins where there is something to do, so one that is broken off, or runs
twice, harms nothing.

1. Changes whose job was lost get another. 2. Users who are not linked to a contact get a job. It looks for them by
their email, and makes a contact for those alone who cannot
   have one (`contact_job.creating`), or for everybody with `create`. 3. Contacts are read whose email HubSpot has
   not confirmed: after an import, a merge, a deletion, a restoration, a 404; and those that were last confirmed
   long ago, since a webhook may have been lost. Whose contact HubSpot has no more, twice some seconds apart, is
   looked for by their email, and linked to the contact that is found, unless it is another user's. Nobody is made
   or told. 4. Conflicts are looked at, both contacts of each: they are over when the two were merged or the user is
   agreed; where the other contact has let the email go, HubSpot is told of it again. Nothing is merged by this. """

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Optional

from .. import errors
from .._page import report
from ..values import Conflict, UserToRead
from . import get_cache, queue, settings
from .contact_reader import BATCH, ContactReader
from .declaration import Declaration, declared

AGAIN = 86_400
"""Seconds. Who has no email at HubSpot is asked for again after this."""
OLD = 30 * 86_400
"""Seconds after which what HubSpot confirmed is read again."""
GRACE = 3600
"""Seconds that a change's or a new user's own job has, before another one is made."""
GONE_AGAIN = 5
"""Seconds between the two answers that must say that a contact is gone: the first may be of an index that lags."""
SCAN = 10_000
"""How many users are looked up at once."""
ALL = 2**32 - 1


class Reconcile:
    """`create`: whether jobs make contacts for users whom they do not find; after a file was lost these may be
    second ones."""

    def __init__(self, *, rate: float = 5, again: float = AGAIN, old: float = OLD, grace: float = GRACE, create: bool = False) -> None:
        self._cache = get_cache()  # Raises before anything is read if there is none.
        self._reader = ContactReader(rate)
        self._again, self._old, self._grace, self._create = again, old, grace, create
        self._gone: list[UserToRead] = []
        self._heard_at = 0.0

    def run(self) -> dict[str, int]:
        """How many contacts were read and by how many calls, how many changes and users got a job, how many users
        were linked anew.

        Raises `VidcacheError`, OSError, after the steps that need no HubSpot were done.
        """
        counts = {"changes": self.retry_changes(), "users": self.enqueue_unlinked()}
        counts["read"] = self.read()
        counts["conflicts"] = self.look_at_conflicts()
        counts["linked"] = self._look_up_gone()
        counts["calls"] = self._reader.calls
        return counts

    def read(self) -> int:
        """Reads whose email is unconfirmed, or was confirmed long ago; returns how many."""
        return self._read_all(False, self._again) + self._read_all(True, self._old)

    def retry_changes(self) -> int:
        """Enqueues the job anew for every change that has been outstanding for so long that its own must be lost.
        Those of users who are gone are left as they are. """
        count = 0
        older_than = max(self._grace, queue.quiet_period())
        for change in self._cache.stale_changes(older_than=older_than, limit=ALL):
            for declaration in declared():
                user = declaration.with_key(change.user)
                if user is not None:
                    queue.enqueue(queue.payload(declaration, user, change=change.token, creates=self._create), 0)
                    count += 1
                    break
        return count

    def enqueue_unlinked(self) -> int:
        """Enqueues a job for every user who is linked to no contact, has an email and is not so new that their own
        job is on its way."""
        count = 0
        # A job of those whose contact is another user's would be told so again.
        taken = {conflict.user for conflict in conflicts() if conflict.why == "vid_taken"}
        for declaration in declared():
            for users in _batches(_all_users(declaration), SCAN):
                keys = [declaration.user_key(user) for user in users]
                for user, vid in zip(users, self._cache.resolve_many(keys)):
                    if vid is not None or self._is_new(declaration, user) or str(declaration.user_key(user)) in taken:
                        continue
                    if declaration.email_of(user) is not None:
                        queue.enqueue(queue.payload(declaration, user, creates=self._create), 0)
                        count += 1
        return count

    def look_at_conflicts(self) -> int:
        """Reads both contacts of each conflict; returns how many are over: the two were merged, or the user is
        agreed. Where the other contact has let the email go, HubSpot is told of it again, after a quiet period.
        Nothing is merged. """
        before = 0
        for some in _batches(conflicts(), BATCH // 2):
            before += len(some)
            ids = sorted({vid for conflict in some for vid in (conflict.vid, conflict.holder) if vid is not None})
            found = self._reader.read(ids) if ids else {}
            for conflict in some:
                self._look_at(conflict, found)
        return before - sum(1 for _ in conflicts())

    def _look_at(self, conflict: Conflict, found: dict[int, list[str]]) -> None:
        declaration, user = self._user_of(conflict.user)
        email = None if declaration is None else declaration.email_of(user)
        if declaration is None or email is None:
            return
        try:
            reason = self._cache.decide(conflict.user, email).reason
        except errors.InvalidEmail:
            return
        if reason == "agreed":
            self._cache.end_conflict(conflict.user)
            return
        holder = None if conflict.why != "email_held" or conflict.vid is None else conflict.holder
        holds = holder is None or email.strip().lower() in found.get(holder, ())
        if not holds and reason != "change_outstanding":
            token = self._cache.begin_email_change(conflict.user)
            job = queue.payload(declaration, user, change=token, creates=self._create)
            queue.enqueue(job, queue.quiet_period())

    @staticmethod
    def _user_of(key: str) -> tuple[Optional[Declaration], Any]:
        for declaration in declared():
            user = declaration.with_key(key)
            if user is not None:
                return declaration, user
        return None, None

    def _is_new(self, declaration: Declaration, user: Any) -> bool:
        made_at = declaration.made_at(user)
        return made_at is not None and made_at > time.time() - self._grace

    def _read_all(self, confirmed: bool, older_than: float) -> int:
        """Reads whoever was due when it began: who is read now does not come again."""
        began, count = time.monotonic(), 0
        last: Optional[UserToRead] = None
        while True:
            age = older_than + time.monotonic() - began + 0.002
            users = self._cache.users_to_read(confirmed=confirmed, older_than=age, after=last, limit=BATCH)
            if not users:
                return count
            vids = list(dict.fromkeys(user.vid for user in users))
            found = self._reader.read(vids)
            missing = [user for user in users if user.vid not in found]
            if missing:
                self._gone += missing
                self._heard_at = time.monotonic()
            count += len(users)
            last = users[-1]

    def _look_up_gone(self) -> int:
        """Contacts that HubSpot says it does not have. Their people may have others: one that somebody deleted
        comes back through a form, with a new id. """
        if not self._gone:
            return 0
        time.sleep(max(self._heard_at + GONE_AGAIN - time.monotonic(), 0))
        count = 0
        for some in _batches(self._gone, BATCH):
            found = self._reader.read(list(dict.fromkeys(user.vid for user in some)))
            count += self._find([user for user in some if user.vid not in found])
        return count

    def _find(self, gone: list[UserToRead]) -> int:
        emails = {email for user in gone for email in [self._email_of(user)[1]] if email}
        if not emails:
            return 0
        found = self._reader.read_by_email(sorted(emails))
        return sum(self._link(user, found) for user in gone)

    def _link(self, gone: UserToRead, found: dict[str, int]) -> bool:
        # As they are now: HubSpot was asked meanwhile.
        key, email = self._email_of(gone)
        vid = found.get(email or "")
        if vid is None or vid == gone.vid:
            return False
        try:
            self._cache.link(key, vid)
            for declaration in declared():
                user = declaration.with_key(key)
                if user is not None:
                    declaration.write_back(user, vid)
        except errors.VidTaken as error:
            report(f"user {key}: their contact is gone, and the one that has their email is another user's", error)
            return False
        return True

    def _email_of(self, gone: UserToRead) -> tuple[Any, Optional[str]]:
        """A user whose pages say less because their contact is gone, and their email in lower case; no email where
        a change is on its way: its job looks for them. """
        for declaration in declared():
            user = declaration.with_key(gone.user)
            if user is not None and self._cache.resolve(gone.user) == gone.vid:
                email = declaration.email_of(user)
                try:
                    if email and self._cache.decide(gone.user, email).reason == "email_unconfirmed":
                        return gone.user, email.strip().lower()
                except errors.InvalidEmail:
                    pass
        return gone.user, None


def conflicts() -> Iterator[Conflict]:
    """All users whose contact is in question, in the order of their keys."""
    last: Optional[str] = None
    while found := get_cache().conflicts(after=last, limit=1000):
        yield from found
        last = found[-1].user


def _all_users(declaration: Declaration) -> Iterator[Any]:
    rows = declaration.rows().order_by("pk")
    if declaration.usable is None:
        rows = rows.only(*declaration.columns())
    found: Iterator[Any] = rows.iterator(chunk_size=SCAN)
    return found


def _batches(rows: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rows = iter(rows)
    while batch := list(islice(rows, size)):
        yield batch


SOON = 10
"""Seconds after something became doubtful in which a read says nothing yet, and some more."""
_soon = 0.0


def read_soon() -> None:
    """Enqueues a job that reads whoever has become doubtful, unless nobody has, or this process has just enqueued
    one."""
    global _soon
    now = time.monotonic()
    if now < _soon or settings.access_token() is None or not get_cache().users_to_read(older_than=AGAIN, limit=1):
        return
    _soon = now + SOON
    queue.enqueue({"read": True, "tries": 0, "at": time.time() + SOON}, SOON)
