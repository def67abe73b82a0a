import uuid

from django.db import models
from vidcache.django import has_vid


@has_vid(email="mail", prefix="member-", usable="confirmed", vid="hubspot_vid")
class Member(models.Model):
    """A model of the app's own, with keys, a column and an answer of its own."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    mail = models.EmailField(db_column="mail_address")
    confirmed = models.BooleanField(default=False)
    hubspot_vid = models.BigIntegerField(null=True)
    seen = models.IntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)


@has_vid(prefix="subscriber-", usable="is_confirmed", told_by="django_shop.Address")
class Subscriber(models.Model):
    """Whose addresses, and whether they are confirmed, stand in another table."""

    email = models.EmailField()

    def is_confirmed(self):
        return self.addresses.using(self._state.db).filter(email=self.email, verified=True).exists()


class Address(models.Model):
    subscriber = models.ForeignKey(Subscriber, models.CASCADE, related_name="addresses", null=True)
    email = models.EmailField()
    verified = models.BooleanField(default=False)


class Order(models.Model):
    """What has nothing to do with it, but an email."""

    email = models.EmailField()
