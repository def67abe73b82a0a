from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "django_shop"

    def ready(self):
        from django.contrib.auth import get_user_model
        from vidcache.django import has_vid

        has_vid(get_user_model())
