"""HubSpot's webhooks, as a view:

    path("hubspot/webhooks", vidcache.django.webhook.receive)

It checks the signature with VIDCACHE's "client_secret" and takes the events in: contacts that were merged, deleted,
restored or erased in HubSpot, and emails that were changed there. Subscribe to `contact.merge`, `contact.deletion`,
`contact.restore`, `contact.privacyDeletion` and `contact.propertyChange` of `email`; others are ignored. What a
merge, a restoration or a deletion leaves of what was known is nothing, so a job is enqueued that reads the contact.

204: taken in. 401: not signed by HubSpot for this address. 400: not understood. 413: too large. 405: no POST. 503:
the file could not be written, and HubSpot sends it again.

HubSpot signs the address that it calls, which is VIDCACHE's "webhook_url". Without it the request says which, which
is to say whoever sent it: so only while DEBUG is set. Signatures of version 3 count, which name their time;
"webhook_signatures": ["v3", "v1"] takes deliveries that have version 1 alone too (or "v2"). """

from __future__ import annotations

import re
from typing import Any

from django.conf import settings as of_django
from django.core.exceptions import ImproperlyConfigured, RequestDataTooBig
from django.http import HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from .. import errors
from .._page import report
from ..signature import verify_signature
from . import get_cache, reconcile, settings
from .failure import report_seldom
from .webhook_address import webhook_url

MAX_BODY = 1 << 20
"""HubSpot sends some hundred events of some hundred bytes at most."""


@csrf_exempt  # type: ignore[untyped-decorator]
def receive(request: Any) -> Any:
    """The view."""
    if request.method != "POST":
        return _respond(405)
    try:
        body = request.read(MAX_BODY + 1)
    except (RequestDataTooBig, UnreadablePostError):
        return _respond(400)
    if len(body) > MAX_BODY:
        return _respond(413)
    try:
        _verify(request, body)
        report_of = get_cache().apply_webhook(body)
    except errors.InvalidSignature as error:
        where = f"{error}. The address that was assumed is {_named(request)}"
        report_seldom(f"a webhook was answered with 401: {where}", error)
        return _respond(401, where)
    except errors.InvalidWebhook as error:
        report("a webhook was answered with 400", error)
        return _respond(400)
    except ImproperlyConfigured as error:
        report_seldom(f"a webhook was answered with 503: {error}", error)
        return _respond(503)
    except (errors.VidcacheError, OSError) as error:
        report("a webhook was answered with 503", error)
        return _respond(503)
    if report_of.applied:
        try:
            reconcile.read_soon()
        except Exception as error:
            # HubSpot has nothing to do with our queue, and the hourly command makes good what fails here.
            report_seldom("no job was enqueued that reads contacts after a webhook", error)
    return _respond(204)


def _verify(request: Any, body: bytes) -> None:
    secret = str(settings.given("client_secret") or "").strip()
    if not secret:
        raise ImproperlyConfigured('VIDCACHE has no "client_secret"')
    listed = settings.given("webhook_signatures") or ("v3",)
    headers = {name: value for name, value in request.headers.items() if name.lower().startswith("x-hubspot-")}
    verify_signature(
        secret, method="POST", uri=_address(request), body=body, headers=headers, take_v1="v1" in listed, take_v2="v2" in listed
    )


def _address(request: Any) -> str:
    configured = webhook_url()
    if configured is None:
        if not of_django.DEBUG:
            # Whoever sends the request would say for which address it was signed.
            raise ImproperlyConfigured('VIDCACHE has no "webhook_url", the whole address that HubSpot calls')
        return str(request.build_absolute_uri())
    # HubSpot calls no other query than the one that is entered there.
    query = request.META.get("QUERY_STRING", "")
    return configured if "?" in configured or not query else f"{configured}?{query}"


def _named(request: Any) -> str:
    """For a log: without its query, and who says so."""
    address = re.sub(r"[^\w.:/\[\]~-]", "?", re.split(r"[?#]", _address(request))[0])[:200]
    if webhook_url() is None:
        return f'{address}, as the request says: set VIDCACHE["webhook_url"] to the one that HubSpot calls'
    return f'{address}, as VIDCACHE["webhook_url"] says'


def _respond(status: int, text: str = "") -> Any:
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8", headers=headers)
