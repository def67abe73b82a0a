"""Whether an email may be used stands in another table than the user's: each row of it that is written through Django
begins the change that it makes, in its transaction."""

import json

import pytest

import django_shop
from django.core.exceptions import ImproperlyConfigured
from django.db import connections, models, transaction
from django_shop.databases import postgres, tables, using  # noqa: F401
from django_shop.models import Address, Member, Subscriber
from vidcache.django import UnseenEmailChange, get_cache, has_vid, hubspot_emails_will_change

EMAIL = "ann@shop.test"


@pytest.fixture
def ann(using):
    user = Subscriber(email=EMAIL)
    user.save(using=using)
    django_shop.QUEUE.clear()
    return user


@pytest.fixture
def address(ann, using):
    return Address.objects.using(using).create(subscriber=ann, email=EMAIL)


def changes_of(user):
    return [change for change in json.loads(get_cache().export(f"subscriber-{user.pk}"))["changes"] if not change["ended_at"]]


def jobs():
    return [job["pk"] for job, _ in django_shop.QUEUE]


def assert_begun_once(user):
    (change,) = changes_of(user)
    assert [(job["pk"], job["change"]) for job, _ in django_shop.QUEUE] == [(str(user.pk), change["token"])]


def assert_nothing(user):
    assert changes_of(user) == [] and jobs() == []


def test_a_new_user_waits_for_their_address(ann, address):
    assert_nothing(ann)


INSERTS = {
    "create": lambda ann, using: Address.objects.using(using).create(subscriber=ann, email=EMAIL, verified=True),
    "bulk_create": lambda ann, using: Address.objects.using(using).bulk_create(
        [Address(email="b@shop.test"), Address(subscriber=ann, email=EMAIL, verified=True), Address(subscriber=ann, email="c@shop.test")]
    ),
    "ignoring conflicts": lambda ann, using: Address.objects.using(using).bulk_create(
        [Address(subscriber=ann, email=EMAIL, verified=True)], ignore_conflicts=True
    ),
    "SQL": lambda ann, using: connections[using].cursor().execute(
        "INSERT INTO django_shop_address (email, verified, subscriber_id) VALUES (%s, %s, %s)", [EMAIL, True, ann.pk]
    ),
}


@pytest.mark.parametrize("way", INSERTS)
def test_a_row_that_comes_confirmed_begins_a_change(ann, using, way):
    INSERTS[way](ann, using)
    assert_begun_once(ann)


UPDATES = {
    "save": lambda address, using: setattr(address, "verified", True) or address.save(),
    "its field": lambda address, using: setattr(address, "verified", True) or address.save(update_fields=["verified"]),
    "update": lambda address, using: Address.objects.using(using).filter(email=EMAIL).update(verified=True),
    "of all": lambda address, using: Address.objects.using(using).update(verified=True),
    "by a join": lambda address, using: Address.objects.using(using).filter(subscriber__email=EMAIL).update(verified=True),
    "bulk_update": lambda address, using: setattr(address, "verified", True)
    or Address.objects.using(using).bulk_update([address], ["verified"]),
    "update_or_create": lambda address, using: Address.objects.using(using).update_or_create({"verified": True}, pk=address.pk),
    "SQL": lambda address, using: connections[using].cursor().execute(
        "UPDATE django_shop_address SET verified = %s WHERE email = %s", [True, EMAIL]
    ),
}


@pytest.mark.parametrize("way", UPDATES)
def test_a_row_that_is_confirmed_begins_a_change(ann, address, using, way):
    UPDATES[way](address, using)
    assert_begun_once(ann)


def test_a_row_that_becomes_somebody_elses_begins_a_change_of_theirs(ann, using):
    address = Address.objects.using(using).create(email=EMAIL, verified=True)
    address.subscriber = ann
    address.save()
    assert_begun_once(ann)


def test_other_addresses_and_what_is_said_again_begin_nothing(ann, address, using):
    Address.objects.using(using).filter(pk=address.pk).update(verified=True)
    get_cache().abandon_email_change(f"subscriber-{ann.pk}", changes_of(ann)[0]["token"])
    django_shop.QUEUE.clear()
    address.refresh_from_db()
    address.save()
    Address.objects.using(using).create(subscriber=ann, email="second@shop.test", verified=True)
    Address.objects.using(using).create(email="nobodys@shop.test", verified=True)
    assert_nothing(ann)
    address.delete()
    assert_nothing(ann)


def test_a_rollback_abandons_the_change(ann, address, using):
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=using):
        Address.objects.using(using).update(verified=True)
        assert len(changes_of(ann)) == 1
        raise ZeroDivisionError
    assert_nothing(ann)


def test_a_statement_that_fails_begins_nothing(ann, address, using):
    with pytest.raises(Exception, match="(?i)null"):
        Address.objects.using(using).update(verified=None)
    assert_nothing(ann)


REFUSED = {
    "a SELECT": "INSERT INTO django_shop_address (email, verified, subscriber_id) SELECT email, %s, id FROM django_shop_subscriber",
    "an expression": "INSERT INTO django_shop_address (email, verified, subscriber_id) VALUES (lower('A'), %s, 1)",
    "no owner": "INSERT INTO django_shop_address (email, verified) VALUES ('a', %s)",
    "a FROM": "UPDATE django_shop_address SET verified = %s, subscriber_id = subscriber_id FROM django_shop_subscriber",
    "an upsert": "INSERT INTO django_shop_address (id, email, verified, subscriber_id) VALUES (1, 'a', %s, 1) "
    "ON CONFLICT (id) DO UPDATE SET verified = excluded.verified",
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_cannot_be_understood_is_not_sent(ann, using, way):
    with pytest.raises(UnseenEmailChange, match="django_shop_address"):
        connections[using].cursor().execute(REFUSED[way], [True])
    assert not Address.objects.using(using).exists()
    assert_nothing(ann)


def test_within_the_block_it_is_sent_and_begins_the_change_of_those_who_are_named(ann, using):
    with hubspot_emails_will_change([ann]):
        connections[using].cursor().execute(REFUSED["a SELECT"], [True])
    assert Address.objects.using(using).get().verified
    assert_begun_once(ann)


def test_a_declaration_that_cannot_be_kept_is_refused():
    class Stranger(models.Model):
        class Meta:
            app_label = "nowhere"

    class Twice(models.Model):
        one = models.ForeignKey(Member, models.CASCADE, related_name="+")
        other = models.ForeignKey(Member, models.CASCADE, related_name="+")

        class Meta:
            app_label = "nowhere"

    declared = {"email": "mail", "prefix": "member-", "vid": "hubspot_vid"}
    for told_by, usable, words in (
        (Address, None, "no usable"),
        (Stranger, "confirmed", "0 foreign keys"),
        (Twice, "confirmed", "2 foreign keys"),
        ("django_shop.Nobody", "confirmed", "no model"),
        ("Nobody", "confirmed", "no model"),
    ):
        with pytest.raises(ImproperlyConfigured, match=words):
            has_vid(Member, usable=usable, told_by=told_by, **declared)
