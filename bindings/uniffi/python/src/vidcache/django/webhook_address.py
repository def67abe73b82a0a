"""VIDCACHE's "webhook_url": the whole address that HubSpot calls, and so signs, to the letter."""

from __future__ import annotations

import re
from typing import Optional

from django.conf import settings as of_django
from django.core.exceptions import ImproperlyConfigured

from . import settings

_ADDRESS = re.compile(r"([^:/?#]*)://([^/?#]*)([^?#]*)(?:\?[^#]*)?(#.*)?", re.DOTALL)
_HOST = re.compile(r"[\w.\[\]-][\w.:\[\]-]*")


def webhook_url() -> Optional[str]:
    """The setting, without the line's end that files and secret stores put after it; None: there is none."""
    return str(settings.given("webhook_url") or "").strip() or None


def check_webhook_url() -> None:
    """Raises ImproperlyConfigured, which does not repeat it: any other address than HubSpot's refuses every webhook."""
    url = webhook_url()
    wrong = None if url is None else problem(url, secure=not of_django.DEBUG)
    if wrong is not None:
        raise ImproperlyConfigured(f'VIDCACHE["webhook_url"] {wrong}')


def problem(url: str, *, secure: bool) -> Optional[str]:
    """What is wrong with it, in words that go on after its name. `secure`: whether `http` will not do."""
    if re.search(r"[^!-~]", url):
        return "has a blank, a line's end or a letter in it that no address has: percent-encode it"
    found = _ADDRESS.fullmatch(url)
    if found is None or found[1].lower() not in ("http", "https"):
        return "has no scheme: the whole address is meant, https://…"
    scheme, host, path, fragment = found.groups()
    if "@" in host:
        return "has a user or a password in it, which HubSpot does not send"
    if not _HOST.fullmatch(host):
        return "names no host"
    if fragment:
        return "has a fragment (#…), which nobody is sent"
    if not path.strip("/"):
        return "has no path: the whole address is meant, with the path of vidcache.django.webhook.receive"
    if secure and scheme.lower() != "https":
        return "is not https, as what HubSpot calls in production has to be"
    return None
