"""The customers are Django's own users. What there is besides: jobs for the worker."""

from datetime import timedelta

from django.db import models
from django.utils import timezone


class Job(models.Model):
    payload = models.JSONField()
    due = models.DateTimeField(db_index=True)


def enqueue(payload, wait):
    """VIDCACHE's "queue": others have Celery or RQ."""
    Job.objects.create(payload=payload, due=timezone.now() + timedelta(seconds=wait))
