"""Why a page says of a user what it says, for a person to read."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidEmail
from . import get_cache
from .declaration import Declaration


def explain(declaration: Declaration, user: Any) -> list[str]:
    """Sentences without an email. Reads the file: not for a page of the app's users. Raises `VidcacheError`."""
    key = declaration.user_key(user)
    said: list[str] = []
    if not declaration.is_usable(user):
        said.append("The app says that the user's email may not be used yet (has_vid usable), so no page names it and no job tells of it.")
    try:
        return said + list(get_cache().explain(key, declaration.email_of(user)).sentences)
    except InvalidEmail:
        return [*said, "The app's email cannot be an address, so no page names it.", *get_cache().explain(key, None).sentences]
