"""The worker, as Celery's guide for Django has it."""

from celery import Celery

app = Celery("lists")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
