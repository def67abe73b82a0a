"""What matters: whose changes are begun, and who is told of them."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from vidcache.django import has_vid

        from . import usual

        if settings.USUAL:
            usual.watch(get_user_model())
        else:
            has_vid(get_user_model())
