"""Makes the customers. Before the shop opens."""

import os

from django.core.management.base import BaseCommand
from shop.shop import prepare
from vidcache.django import get_cache


class Command(BaseCommand):
    help = __doc__

    def handle(self, **_):
        prepare(get_cache(), int(os.environ.get("USERS", "5")))
