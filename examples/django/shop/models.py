"""The customers are Django's own users. What there is besides: jobs for the worker."""

from django.conf import settings
from django.db import models


class Job(models.Model):
    """HubSpot is to be told of the user's email: the one they have by then."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    # The token of the change that this finishes.
    change = models.BigIntegerField(null=True)
    due = models.DateTimeField(db_index=True)
