"""What matters: whose changes are begun, and who is told of them."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models.signals import post_save
from vidcache.django import has_vid


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        if settings.USUAL:
            from .usual import saved

            post_save.connect(saved, sender=get_user_model())
        else:
            has_vid(get_user_model())
