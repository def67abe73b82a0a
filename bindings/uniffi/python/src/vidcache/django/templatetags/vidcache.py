"""`{% load vidcache %}{% hubspot_tracking %}`"""

from __future__ import annotations

from typing import Any, Optional

from django import template
from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

from .. import get_cache
from ..._page import logger, tracking

register = template.Library()


def _who(request: Any) -> Optional[tuple[Any, Optional[str]]]:
    given = getattr(settings, "VIDCACHE", {}).get("user")
    if given is not None:
        who: Optional[tuple[Any, Optional[str]]] = given(request)
        return who
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return None
    return user.pk, getattr(user, user.get_email_field_name(), None)


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]
def hubspot_tracking(context: Any, nonce: Optional[str] = None) -> SafeString:
    """HubSpot's snippet for the request's user. `nonce`: the page's CSP nonce; else `request.csp_nonce`, if any. Never
    raises."""
    try:
        request = context.get("request")
        who = _who(request)
        if request is not None:
            request._vidcache_on_page = True
        nonce = nonce or getattr(request, "csp_nonce", None)
        nonce = None if nonce is None else str(nonce)
    except Exception as error:
        logger.error("the page says nothing: %s", type(error).__name__)
        return mark_safe("")
    user, email = who or (None, None)
    return mark_safe(tracking(get_cache, user, email, nonce))
