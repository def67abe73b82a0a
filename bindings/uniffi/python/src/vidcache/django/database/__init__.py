"""The rows in the project's own PostgreSQL, for processes that share no disk: put `vidcache.django.database` into
INSTALLED_APPS beside `vidcache.django`, `manage.py migrate`, and

    VIDCACHE = {"store": "database", "portal_id": 62515, "secret": "…"}

Everything else is as with a file: docs/guides/several-hosts.md says what differs. """
