"""The worker: tells HubSpot of customers' emails, until it is stopped."""

import logging
import time
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone
from shop.models import Job
from shop.shop import perform
from vidcache.django import get_cache

RETRY = timedelta(seconds=5)


class Command(BaseCommand):
    help = __doc__

    def handle(self, **_):
        while True:
            job = Job.objects.select_related("user").filter(due__lte=timezone.now()).order_by("due").first()
            if job is None:
                time.sleep(0.05)
                continue
            try:
                perform(get_cache(), job)
            except Exception as error:
                logging.error("user %s: %s; trying again", job.user_id, type(error).__name__)
                Job.objects.filter(pk=job.pk).update(due=timezone.now() + RETRY)
