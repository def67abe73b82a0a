"""The worker: tells HubSpot of customers' emails, until it is stopped."""

import logging
import time
from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone
from shop import usual
from shop.models import Job
from vidcache.django.contact_job import perform


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--until-empty", action="store_true", help="end when nothing is due")

    def handle(self, until_empty=False, **_):
        while True:
            job = Job.objects.filter(due__lte=timezone.now()).order_by("due").first()
            if job:
                self.do(job)
            elif until_empty:
                return
            else:
                time.sleep(0.05)

    def do(self, job):
        try:
            again = (usual.perform if "usual" in job.payload else perform)(job.payload)
        except Exception as error:
            logging.error("a job gave up: %s", type(error).__name__)
            again = None
        if again:
            job.payload, job.due = again.payload, timezone.now() + timedelta(seconds=again.wait)
            job.save()
        else:
            job.delete()
