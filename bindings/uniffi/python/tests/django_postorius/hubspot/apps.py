"""All that Postorius needs besides the settings and a template: whose email it is, and where it stands whether it may
be used. The users are Django's own; allauth has their addresses in a table of its own. """

from django.apps import AppConfig
from django.contrib.auth import get_user_model


class HubspotConfig(AppConfig):
    name = "hubspot"

    def ready(self):
        from allauth.account.models import EmailAddress
        from vidcache.django import has_vid

        has_vid(get_user_model(), usable=is_confirmed, told_by=EmailAddress)


def is_confirmed(user):
    return user.emailaddress_set.filter(email__iexact=user.email, verified=True).exists()
