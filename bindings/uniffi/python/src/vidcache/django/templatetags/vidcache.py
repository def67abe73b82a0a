"""`{% load vidcache %}{% hubspot_tracking %}`, and `{% hubspot_signed_out_tag %}` on the page after a sign-out."""

from __future__ import annotations

from typing import Any, Optional

from django import template
from django.utils.safestring import SafeString, mark_safe

from .. import get_cache, on_page, visitor
from ..._page import has_identity, report, signed_out, tracking

register = template.Library()


def _nonce(request: Any, nonce: Optional[str]) -> Optional[str]:
    nonce = nonce or getattr(request, "csp_nonce", None)
    return None if nonce is None else str(nonce)


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]
def hubspot_tracking(context: Any, nonce: Optional[str] = None) -> SafeString:
    """HubSpot's snippet for the request's user. `nonce`: the page's CSP nonce; else `request.csp_nonce`, if any. Never
    raises."""
    try:
        request = context.get("request")
        user, email = visitor(request) or (None, None)
        html = tracking(get_cache, user, email, _nonce(request, nonce))
        if has_identity(html):
            on_page(request)
    except Exception as error:
        report("the page says nothing", error)
        return mark_safe("")
    return mark_safe(html)


@register.simple_tag(takes_context=True)  # type: ignore[untyped-decorator]
def hubspot_signed_out_tag(context: Any, nonce: Optional[str] = None) -> SafeString:
    """In the place of `hubspot_tracking` on the page that follows a sign-out: no identity, and HubSpot's tracker gives
    the browser a new usertoken, so that nothing it sends from here on belongs to the former user's contact. Never
    raises.
    """
    try:
        request = context.get("request")
        html = signed_out(get_cache, _nonce(request, nonce))
        on_page(request)
    except Exception as error:
        report("the page says nothing", error)
        return mark_safe("")
    return mark_safe(html)
