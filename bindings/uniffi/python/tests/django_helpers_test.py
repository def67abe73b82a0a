"""The admin, and what an app's own tests have."""

import re

import pytest

import django_shop
from django_shop.models import Member
from django.conf import settings
from django.contrib.admin import ModelAdmin, site
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.template import engines
from django.test import Client, RequestFactory
from vidcache import Cache, Storage
from vidcache.django import get_cache, hubspot_tracking_data
from vidcache.django.admin import VidcacheExplained
from vidcache.testing import *  # noqa: F403

User = get_user_model()


@pytest.fixture(autouse=True)
def tables():
    call_command("migrate", run_syncdb=True, verbosity=0)
    yield
    for model in (User, Member):
        for user in model.objects.all():
            user.delete()


@pytest.fixture
def user(hubspot):
    return User.objects.create_superuser("ann", "ann@shop.test")


def page(user):
    request = RequestFactory().get("/")
    request.user = user
    return engines["django"].from_string("{% load vidcache %}{% hubspot_tracking %}").render({}, request), hubspot_tracking_data(request)


def test_an_apps_test_says_what_hubspot_holds_and_sees_what_a_page_names(hubspot, user):
    assert hubspot.jobs == 1 and get_cache() is hubspot.cache
    assert hubspot.emails(page(user)[0]) == []
    hubspot.confirm(user)
    html, data = page(user)
    assert hubspot.emails(html) == ["ann@shop.test"] and hubspot.emails(str(data)) == ["ann@shop.test"]
    user.email = "o'hara+x@shop.test"
    user.save()
    assert hubspot.emails(page(user)[0]) == [] and hubspot.jobs == 2
    hubspot.confirm(user)
    assert hubspot.emails(page(user)[0]) == ["o'hara+x@shop.test"]
    assert hubspot.emails("<p>email: 'a@b.test'</p><script>_hsq.push(['identify', {email: 'X@shop.test'}])</script>") == ["x@shop.test"]
    with pytest.raises(LookupError):
        hubspot.confirm(object())


def test_the_tests_cache_is_gone_afterwards():
    assert settings.VIDCACHE["path"] == str(django_shop.FOLDER / "hubspot.vidcache")
    assert get_cache().portal_id == django_shop.PORTAL


def test_the_admin_explains_a_user_and_changes_their_email_as_any_save_does(hubspot, user, monkeypatch):
    hubspot.confirm(user)
    client = Client()
    client.force_login(user)
    url = f"/admin/auth/user/{user.pk}/change/"
    html = client.get(url).content.decode()
    assert "What pages say of this user" in html and "names the email" in html.lower()
    assert client.get("/admin/auth/user/add/").status_code == 200
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', html))
    form.update(username="ann", email="new@shop.test", is_active="on", is_staff="on", is_superuser="on")
    assert client.post(url, form).status_code == 302
    user.refresh_from_db()
    assert user.email == "new@shop.test" and get_cache().decide(user.pk, user.email).reason == "change_outstanding"

    def fails(*_):
        raise Storage("no")

    monkeypatch.setattr(Cache, "explain", fails)
    assert "vidcache cannot be asked now" in client.get(url).content.decode()


def test_a_model_without_has_vid_has_no_section(hubspot, user):
    class Explained(VidcacheExplained, ModelAdmin):
        pass

    from django.contrib.auth.models import Group

    request = RequestFactory().get("/")
    request.user = user
    assert [name for name, _ in Explained(Group, site).get_fieldsets(request, Group())] == [None]
