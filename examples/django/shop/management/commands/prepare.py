"""Makes the customers who are not there yet, and their contacts. Before the shop opens."""

import os

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from shop.models import perform_due


class Command(BaseCommand):
    help = __doc__

    def handle(self, **_):
        users = get_user_model().objects
        for number in range(users.count() + 1, int(os.environ.get("USERS", "5")) + 1):
            users.create_user(f"user{number}", f"user{number}@shop.test")
        perform_due()
