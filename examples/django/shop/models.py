"""The customers are Django's own users. What there is besides: the worker's jobs. Others have Celery or RQ."""

import logging
from datetime import timedelta

from django.db import models
from django.utils import timezone
from vidcache.django import contact_job

from . import usual


class Job(models.Model):
    payload = models.JSONField()
    due = models.DateTimeField(db_index=True)


def enqueue(payload, wait):
    """VIDCACHE's "queue"."""
    Job.objects.create(payload=payload, due=timezone.now() + timedelta(seconds=wait))


def perform_due():
    for job in Job.objects.filter(due__lte=timezone.now()).order_by("due"):
        try:
            again = (usual if "usual" in job.payload else contact_job).perform(job.payload)
        except Exception as error:
            logging.error("a job gave up: %s", type(error).__name__)
        else:
            if again:
                enqueue(again.payload, again.wait)
        job.delete()
