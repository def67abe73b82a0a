"""What the job does with HubSpot's answers, so that a person has one contact whatever they are. Expects the user's
other jobs locked out, and the change's quiet period over. """

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Optional

from ... import errors
from ..._page import report
from ...values import Recorded
from .. import get_cache
from ..declaration import Declaration
from . import creating, hubspot_api
from .hubspot_api import Answer
from .lease import Lease, NotYet
from .memory import Memory

ROUNDED = 2
"""Seconds by which databases round a time."""


class RowGone(Exception):
    """The job's row is gone. It ends then, and says nothing."""


def is_another_row(made_at: Optional[float], other: Optional[float]) -> bool:
    """Whether two times of one key are those of two rows."""
    return made_at is not None and other is not None and abs(made_at - other) > ROUNDED


class Telling:
    """One try of a job, with the user as they are in the database now."""

    def __init__(
        self, declaration: Declaration, user: Any, change: Optional[int], memory: Memory, tries: int, last_try: bool
    ) -> None:
        self.declaration = declaration
        self.user = user
        self.key = declaration.user_key(user)
        self.change = change
        self.memory = memory
        self.tries = tries
        self.is_last_try = last_try
        self.made_at = declaration.made_at(user)
        self.lease: Optional[Lease] = None
        self._asked_at_ms: Optional[int] = None

    @property
    def email(self) -> Optional[str]:
        """The user's email as it was when the job read them."""
        return self.declaration.email_of(self.user)

    def tell(self) -> None:
        """Tells HubSpot of the email and records its answer, which finishes the change."""
        try:
            if self.change is None:
                return self._introduce()
            vid = get_cache().resolve(self.key) or self._find()
            if vid is None:
                creating.create_after_all(self)
            else:
                self._update(vid)
        except errors.VidTaken as error:
            # Two users of the app, one contact at HubSpot. The other one may let it go.
            if self.change is not None and not self.is_last_try:
                raise
            self.abandon(error, "a job recorded nothing: the contact is another user's")
        except errors.Refused as error:
            self._end(error, "HubSpot refuses the email for good: pages give the id alone until it is another one")
        return None

    def adopt(self) -> bool:
        """Links a user whom the file does not know to the contact that the app says is theirs, by reading it.
        False: the contact is another user's, and the app's word stands against making one. """
        known = self.declaration.known_vid(self.user)
        if known is None or self.email is None or get_cache().resolve(self.key) is not None:
            return True
        try:
            answer = self.look_up(lambda: hubspot_api.read(known))
            if answer is not None:
                self._learn(answer)
        except errors.VidTaken as error:
            report(f"user {self.key}: not linked to the contact that the app says is theirs: it is another user's", error)
            return False
        return True

    def _introduce(self) -> None:
        """A user without a contact, and without a change: nothing may be told of a person whom HubSpot knows, so
        their contact is only read. """
        if self._find() is None and self.email is not None and creating.may_create(self, linked=False):
            creating.create(self)

    def _update(self, vid: int, missed: bool = False) -> None:
        try:
            self.record(self.write(lambda: hubspot_api.update(vid, self.email)), vid)
        except errors.ContactMissing:
            # A 404 may pass. It is asked for in every other way before anything is made of it.
            if missed:
                raise
            living = self._follow(vid) or self._find()
            if living == vid:
                raise
            if living is None:
                creating.create_after_all(self, linked=True)
            else:
                self._update(living, missed=True)
        except errors.ContactConflict as conflict:
            self._settle(vid, conflict)

    def _settle(self, vid: int, conflict: errors.ContactConflict) -> None:
        """Another contact holds the email. Somebody may have merged the two; or the other may let the email go
        later."""
        answer = self.answer(lambda: hubspot_api.read(vid))
        held = self._holds(answer)
        if not held and not self.is_last_try:
            raise conflict
        self.record(answer, vid)
        if not held:
            report(
                f"user {self.key}: another contact holds the email: pages give the id alone until somebody merges the two at HubSpot",
                conflict,
            )

    def _follow(self, vid: int) -> Optional[int]:
        """Which id lives for one that HubSpot does not have: reading follows merges. None: none."""
        try:
            return self._learn(self.answer(lambda: hubspot_api.read(vid))).vid
        except errors.ContactMissing:
            return None

    def _find(self) -> Optional[int]:
        """Looks for the user's contact by their emails, and links them to it. None: HubSpot knows nobody of that.

        Raises `VidTaken`: the contact with the user's present email is another user's.
        """
        for email in self._emails():
            answer = self.look_up(lambda email=email: hubspot_api.read_by_email(email))  # type: ignore[misc]
            if answer is None:
                continue
            try:
                return self._learn(answer).vid
            except errors.VidTaken:
                if email == self.email:
                    raise
        return None

    def _emails(self) -> list[str]:
        """A new user's present email is not looked for by their own job: HubSpot says itself if somebody holds it."""
        present = self.change is not None or self.memory.creates is not None
        found = [*self.memory.formerly, self.email if present else None]
        return list(dict.fromkeys(email for email in found if email))

    def look_up(self, call: Callable[[], Answer]) -> Optional[Answer]:
        """Asks without saying of whom: that it finds nobody says nothing of the user's own contact. Nobody has an
        email that is refused. None: HubSpot has none. """
        answer = self.answer(call)
        try:
            answer.take(lambda body: get_cache().observe(body, asked_at_ms=self._asked_at_ms))
        except (errors.ContactMissing, errors.Refused):
            return None
        return None if answer.names_nobody else answer

    def _end(self, error: Exception, outcome: str) -> None:
        """Ends a change of which HubSpot will not hear: what it holds is read. The core ends it by itself; then the
        read may fail."""
        vid = get_cache().resolve(self.key)
        if vid is None or self.change is None:
            return self.abandon(error, outcome)
        try:
            self.record(self.answer(lambda: hubspot_api.read(vid)), vid)
        except Exception:
            if get_cache().is_change_outstanding(self.key, self.change):
                raise
        report(f"user {self.key}: {outcome}", error)
        return None

    def abandon(self, error: Optional[Exception] = None, outcome: str = "") -> None:
        """Ends a change of which HubSpot was told nothing."""
        if self.change is not None:
            get_cache().abandon_email_change(self.key, self.change)
        if error is not None:
            report(f"user {self.key}: {outcome}", error)

    def record(self, answer: Answer, vid: Optional[int] = None) -> None:
        """Records an answer, which finishes the change. One that does not say which email the contact holds, and
        since when, is followed by reading it. """
        try:
            recorded = self._learn(answer, self.change)
            if not recorded.email_observed:
                self._read_again(recorded.vid)
        except errors.VidTaken as error:
            if vid is None or error.vid == vid:
                raise
            # Another user has the id that HubSpot answered with. If somebody merged the two contacts, a read by the
            # user's own id tells.
            self._read_again(vid)
        except (errors.AnswerWithoutId, errors.AnswerWithoutEmail):
            if vid is None:
                found = answer.take(lambda body: get_cache().observe(body)).contacts
                if not found:
                    raise
                vid = found[0]
            self._read_again(vid)

    def _read_again(self, vid: int) -> None:
        answer = self.answer(lambda: hubspot_api.read(vid))
        # Whether HubSpot carried out what it said too little of, its email tells. If not, it is told again.
        if self.change is not None and not self.is_last_try and self._holds(answer) is False:
            self._learn(answer)
            raise NotYet("HubSpot was told of the email and does not hold it")
        self._learn(answer, self.change)

    def _holds(self, answer: Answer) -> Optional[bool]:
        """Whether the contact holds the email, as far as one can see: what an email is, and which are one, the core
        knows. A wrong no costs tries. None: the answer does not say. """
        properties = answer.json().get("properties")
        if not isinstance(properties, dict) or "email" not in properties:
            return None
        return str(properties["email"] or "").strip().lower() == (self.email or "").strip().lower()

    def _learn(self, answer: Answer, change: Optional[int] = None) -> Recorded:
        """Records what an answer says of the user. The row may have gone while HubSpot was asked, and what was
        known of its key with it: a link that is recorded afterwards would keep the contact from whoever signs up
        with that email. A row that goes while this is recorded is forgotten here, or else by its own deletion,
        which comes later. Raises `RowGone`. """
        if not self._is_there():
            raise RowGone
        recorded = answer.take(
            lambda body: get_cache().record(self.key, body, change=change, asked_at_ms=self._asked_at_ms)
        )
        if self._is_there():
            self.declaration.write_back(self.user, recorded.vid)
            return recorded
        if self.declaration.forget:
            get_cache().forget(self.key)
        raise RowGone

    def _is_there(self) -> bool:
        row = self.declaration.with_pk(self.user.pk)
        return row is not None and not is_another_row(self.declaration.made_at(row), self.made_at)

    def write(self, call: Callable[[], Answer]) -> Answer:
        """A call that writes to HubSpot."""
        lease = self.lease
        return self.answer(call if lease is None else lambda: lease.during(call))

    def answer(self, call: Callable[[], Answer]) -> Answer:
        """A call, and when it was begun."""
        self._asked_at_ms = time.time_ns() // 1_000_000
        return call()
