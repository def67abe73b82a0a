"""A site with Postorius, as Debian's mailman3-web has one; what HubSpot adds stands at the end."""

import os
from pathlib import Path

FOLDER = Path(os.environ["FOLDER"])

SECRET_KEY = "x" * 60
SITE_ID = 1
ALLOWED_HOSTS = ["127.0.0.1"]
# There is no Mailman here, which Postorius' pages say, or pass over.
MAILMAN_REST_API_URL = "http://127.0.0.1:9"
MAILMAN_REST_API_USER = MAILMAN_REST_API_PASS = "nobody"
INSTALLED_APPS = [
    "postorius",
    "django_mailman3",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_gravatar",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_mailman3.middleware.TimezoneMiddleware",
    "postorius.middleware.PostoriusMiddleware",
]
ROOT_URLCONF = "lists.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.i18n",
                "django.template.context_processors.static",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django_mailman3.context_processors.common",
                "postorius.context_processors.postorius",
            ],
        },
    },
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "lists.sqlite3", "OPTIONS": {"timeout": 20}}}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
STATIC_URL = "/static/"
LOGIN_URL, LOGOUT_URL, LOGIN_REDIRECT_URL = "account_login", "account_logout", "mm_user_profile"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "allauth.account.auth_backends.AuthenticationBackend"]
ACCOUNT_EMAIL_REQUIRED = True
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_UNIQUE_EMAIL = True
EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = FOLDER / "mail"
# The tests sign up more often within a minute than people do.
ACCOUNT_RATE_LIMITS = False
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}

# HubSpot. Before "postorius", since templates of the same name are looked for in this order.
INSTALLED_APPS = ["vidcache.django", "hubspot", *INSTALLED_APPS]
MIDDLEWARE += ["vidcache.django.middleware.VidcacheMiddleware"]
VIDCACHE = {
    "path": FOLDER / "hubspot.vidcache",
    "portal_id": 62515,
    "secret": "thirty-two bytes kept out of it.",
    "queue": "vidcache.django.celery.enqueue",
    "access_token": "test",
    "api_url": os.environ["HUBSPOT_API"],
    "page_deadline": 1.0,
    "quiet_period": 2.0,
}
CELERY_BROKER_URL = os.environ["REDIS_URL"]
CELERY_TASK_IGNORE_RESULT = True
