"""Says why a page says of a user what it says: by their key, or by their email."""

from __future__ import annotations

from typing import Any, Optional

from django.core.management.base import BaseCommand, CommandError

from vidcache import VidcacheError
from vidcache.django.declaration import Declaration, declared
from vidcache.django.explain import explain


class Command(BaseCommand):  # type: ignore[misc]
    """`manage.py vidcache_explain`."""

    help = __doc__

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("user", help="the user's key (their id; of a model with a prefix, with it), or their email")

    def handle(self, *_: Any, user: str, **__: Any) -> None:
        found = _look_up(user)
        if not found:
            raise CommandError(f"no model with has_vid has a user of that {'email' if '@' in user else 'key'}")
        try:
            for declaration, one in found:
                self.stdout.write(f"{declaration.label} {declaration.user_key(one)}:")
                for sentence in explain(declaration, one):
                    self.stdout.write(f"  {sentence}")
        except VidcacheError as error:
            raise CommandError(str(error)) from None


def _look_up(user: str) -> list[tuple[Declaration, Any]]:
    if "@" in user:
        return [(one, row) for one in declared() for row in one.rows().filter(**{f"{one.email}__iexact": user})]
    rows: list[tuple[Declaration, Optional[Any]]] = [(one, one.with_key(user)) for one in declared()]
    return [(one, row) for one, row in rows if row is not None]
