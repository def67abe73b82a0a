"""What a job keeps from try to try, and is given when it is enqueued: under which emails HubSpot may know the user
besides their present one. The file holds no email, so this travels with the job and ends with it: encrypted under a
key that is derived of VIDCACHE's secret and of the user, and readable for 30 days. """

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Optional, Union

from django.conf import settings as of_django

from ..._page import logger, report
from .. import settings

KEPT = 30 * 86_400
"""Seconds for which it can be read: as long as queues retry."""
MOST = 5
"""The most emails: each costs a call where HubSpot has none of them."""


class Memory:
    """`formerly`: the email before the change, and those that HubSpot was told to make a contact with.
    `not_before`: seconds since 1970, HubSpot is told no sooner. `none_found`: HubSpot said before that it knows
    nobody by any of the emails. `signed_up_as`: the email of a new user, of the job of that. `creates`: whether a
    contact may be made. None: the job is the own one of a change or a sign-up. False: it was made later, for one
    whose own job may be lost and knew more. True: the app says so (`--create`). `unbegun`: the change has yet to be
    begun, and `row_of`: seconds since 1970, when a row was made whose key may have been another user's: both were saved
    while the file could not be used (`unavailable`). """

    def __init__(
        self,
        *,
        creates: Optional[bool] = None,
        signed_up_as: Optional[str] = None,
        unbegun: bool = False,
        row_of: Optional[float] = None,
    ) -> None:
        self.formerly: list[str] = []
        self.not_before: float = 0.0
        self.none_found = False
        self.creates = creates
        self.signed_up_as = signed_up_as
        self.unbegun = unbegun
        self.row_of = row_of

    @classmethod
    def open(cls, sealed: Optional[str], key: Any) -> Memory:
        """An empty one if it cannot be read, which is reported; then no contact may be made."""
        memory = cls()
        if sealed is None:
            return memory
        try:
            kept = json.loads(_box(key).decrypt(sealed.encode(), ttl=KEPT))
            memory.formerly = list(kept.get("formerly", ()))
            memory.not_before = float(kept.get("not_before", 0))
            memory.none_found = bool(kept.get("none_found"))
            memory.creates = kept.get("creates")
            memory.signed_up_as = kept.get("signed_up_as")
            memory.unbegun = bool(kept.get("unbegun"))
            memory.row_of = kept.get("row_of")
        except Exception:
            logger.error(
                "user %s: what the job kept cannot be read, so it does not know the email before the change: it is older than "
                "30 days, or the secret is another one and no old secret was given",
                key,
            )
            return cls(creates=False)
        return memory

    def add(self, email: Optional[str]) -> None:
        """Keeps one more email."""
        if email:
            self.formerly = list(dict.fromkeys([*self.formerly, email]))[-MOST:]

    def seal(self, key: Any) -> Optional[str]:
        """For the job's payload; None: there is nothing to keep, or it cannot be kept, which is reported."""
        # Of `creates` a no says something.
        kept = {name: value for name, value in vars(self).items() if value or (name == "creates" and value is False)}
        if not kept:
            return None
        try:
            return str(_box(key).encrypt(json.dumps(kept).encode()).decode())
        except Exception as error:
            report(f"user {key}: a job does not keep the email before the change", error)
            return None


def _box(key: Any) -> Any:
    from cryptography.fernet import Fernet, MultiFernet  # Of the extra `django`: a page needs none of it.

    secrets: list[Union[str, bytes]] = [settings.given("secret") or of_django.SECRET_KEY]
    secrets += settings.given("old_secrets") or ()
    return MultiFernet([Fernet(_derived(secret, key)) for secret in secrets])


def _derived(secret: Union[str, bytes], key: Any) -> bytes:
    bytes_of = secret.encode() if isinstance(secret, str) else secret
    purpose = f"vidcache: what a job keeps of user {key}, 1"
    return base64.urlsafe_b64encode(hmac.new(bytes_of, purpose.encode(), hashlib.sha256).digest())
