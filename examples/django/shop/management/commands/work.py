"""The worker: tells HubSpot of customers' emails, until it is stopped."""

import time

from django.core.management.base import BaseCommand
from shop.models import perform_due


class Command(BaseCommand):
    help = __doc__

    def handle(self, **_):
        while True:
            perform_due()
            time.sleep(0.05)
