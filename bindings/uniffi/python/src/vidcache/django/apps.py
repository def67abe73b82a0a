"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks


class VidcacheConfig(AppConfig):  # type: ignore[misc]
    """`vidcache.django`."""

    name = "vidcache.django"
    label = "vidcache"
    verbose_name = "vidcache"

    def ready(self) -> None:
        from .checks import check, check_deployed
        from .declaration import declared, told_by_must_fit
        from .webhook_address import check_webhook_url

        check_webhook_url()
        for declaration in declared():
            told_by_must_fit(declaration)
        checks.register(check)
        checks.register(check_deployed, deploy=True)
