"""Where Celery looks for an app's tasks."""

from .celery import tell_hubspot

__all__ = ["tell_hubspot"]
