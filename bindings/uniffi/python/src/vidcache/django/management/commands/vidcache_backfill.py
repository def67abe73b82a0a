"""Fills the cache with the users that the app has had before. Doing it again changes nothing."""

from __future__ import annotations

from typing import Any, Optional

from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import BaseCommand, CommandError

from vidcache import ImportRow, VidcacheError
from vidcache.django import get_cache
from vidcache.django.declaration import Declaration, declared, vid_of
from vidcache.django.reconcile import Reconcile

BATCH = 1000


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_backfill`."""

    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--vid", metavar="FIELD", help="the field with HubSpot's contact ids; without it jobs look users up")
        parser.add_argument("--model", help="which model with has_vid, if there are several: auth.User")
        parser.add_argument("--rate", type=float, default=5, help="the most calls to HubSpot a second (5)")
        parser.add_argument("--create", action="store_true", help="make contacts for users whom HubSpot does not have under their email")

    def handle(self, *_: Any, vid: Optional[str], model: Optional[str], rate: float, create: bool, **__: Any) -> None:
        try:
            if vid is None:
                count = Reconcile(create=create, grace=0).enqueue_unlinked()
                self.stdout.write(f"{count} users are linked to no contact, and got a job")
            else:
                self._link(_one(model), vid, rate)
        except (VidcacheError, OSError) as error:
            raise CommandError(str(error)) from None

    def _link(self, declaration: Declaration, field: str, rate: float) -> None:
        try:
            declaration.model._meta.get_field(field)
        except FieldDoesNotExist:
            raise CommandError(f"{declaration.label} has no field {field}: which one holds HubSpot's contact ids?") from None
        imported = taken = without = 0
        rows: list[ImportRow] = []
        users = declaration.rows().exclude(**{field: None}).order_by("pk").iterator(chunk_size=BATCH)
        for user in users:
            found = vid_of(getattr(user, field))
            if found is None:
                without += 1
                continue
            rows.append(ImportRow(declaration.user_key(user), found))
            if len(rows) == BATCH:
                report = get_cache().import_users(rows)
                imported, taken, rows = imported + report.imported, taken + report.vid_taken, []
        report = get_cache().import_users(rows)
        imported, taken = imported + report.imported, taken + report.vid_taken
        self.stdout.write(f"{imported} users linked, {taken} whose contact is another user's, {without} without a valid id")
        # Such a link says nothing of the email: the contacts are read.
        self.stdout.write(f"{Reconcile(rate=rate).read()} contacts read from HubSpot")


def _one(label: Optional[str]) -> Declaration:
    found = [one for one in declared() if label is None or one.label.lower() == label.lower()]
    if len(found) != 1:
        raise CommandError(f"say which model with --model: {', '.join(one.label for one in declared()) or 'none has has_vid'}")
    return found[0]
