"""Why a page says of a user what it says, on the user's own page in the admin: read-only.

    class UserAdmin(VidcacheExplained, django.contrib.auth.admin.UserAdmin):
        pass
"""

from __future__ import annotations

from typing import Any, Optional

from django.contrib import admin
from django.utils.html import format_html_join

from .._page import report
from .declaration import declaration_of
from .explain import explain


class VidcacheExplained:
    """A mixin for the ModelAdmin of a model with `has_vid`: its change page has a section more, which nobody can
    edit."""

    def get_fieldsets(self, request: Any, obj: Optional[Any] = None) -> Any:
        found = list(super().get_fieldsets(request, obj))  # type: ignore[misc]
        if obj is None or declaration_of(obj) is None:
            return found
        return [*found, ("HubSpot", {"fields": ("vidcache_explained",)})]

    def get_readonly_fields(self, request: Any, obj: Optional[Any] = None) -> Any:
        return (*super().get_readonly_fields(request, obj), "vidcache_explained")  # type: ignore[misc]

    @admin.display(description="What pages say of this user")  # type: ignore[untyped-decorator]
    def vidcache_explained(self, user: Any) -> Any:
        """The sentences of `manage.py vidcache_explain`. Never raises."""
        declaration = declaration_of(user)
        if declaration is None or user.pk is None:
            return "-"
        try:
            return format_html_join("\n", "<p>{}</p>", ((sentence,) for sentence in explain(declaration, user)))
        except Exception as error:
            report("the admin does not explain a user", error)
            return "vidcache cannot be asked now"
