"""What matters: when a change begins, what it is committed with, and when HubSpot is told."""

from datetime import timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.utils import timezone

from .hubspot import Hubspot
from .models import Job


def hubspot():
    return Hubspot(settings.HUBSPOT_API, settings.HUBSPOT_TOKEN)


def change_email(cache, user, email):
    """The order is the rule's: begin, then the app's own commit, which enqueues the job too."""
    change = None if settings.USUAL else cache.begin_email_change(user.pk)
    written = False
    try:
        # Durable: when this block ends it is committed, and not when some other one around it ends.
        with transaction.atomic(durable=True):
            user.email = email
            user.save(update_fields=["email"])
            enqueue(cache, user.pk, change)
            written = True
    except BaseException:
        # Where COMMIT itself failed, the database may have committed all the same: then the change stays outstanding.
        if change is not None and not written:
            cache.abandon_email_change(user.pk, change)
        raise


def enqueue(cache, user_id, change):
    # Asked each time: a process with a longer page deadline may have come meanwhile.
    wait = 0 if settings.USUAL else settings.QUIET_PERIOD or cache.quiet_period()
    Job.objects.create(user_id=user_id, change=change, due=timezone.now() + timedelta(seconds=wait))


def prepare(cache, count):
    """Makes the customers that are not there yet, and their contacts; takes up the changes that a crash left behind.
    Before the shop opens: a change that a page has just begun must not be taken for one of those.
    """
    users = get_user_model().objects
    for number in range(users.count() + 1, count + 1):
        users.create_user(f"user{number}", f"user{number}@shop.test")
    for user in users.order_by("pk"):
        if cache.resolve(user.pk) is None:
            cache.record(user.pk, hubspot().tell(None, user.email))
    for change in cache.stale_changes(older_than=0):
        if not Job.objects.filter(change=change.token).exists():
            enqueue(cache, int(change.user), change.token)


def perform(cache, job):
    """Until it succeeds the change stays outstanding, and the user's pages give the id alone. One job of a user at a
    time: two of them at once could tell HubSpot of the older email last. Here there is one worker.
    """
    # Asked again: HubSpot must not be told of a change that another job has finished.
    if job.change is None or cache.is_change_outstanding(job.user_id, job.change):
        # The email as it is now: of two jobs, the later one tells of the later email.
        answer = hubspot().tell(cache.resolve(job.user_id), job.user.email)
        cache.record(job.user_id, answer, change=job.change)
    job.delete()
