"""The shop's settings, from the environment: ../../README.md lists it."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR", BASE_DIR / "storage"))

VIDCACHE = {
    "path": DATA_DIR / "hubspot.vidcache",
    "portal_id": int(os.environ.get("HUBSPOT_PORTAL", "62515")),
    "secret": os.environ.get("VIDCACHE_SECRET", "a secret that a real shop keeps elsewhere"),
    "page_deadline": float(os.environ.get("PAGE_DEADLINE", "10")),
    "queue": "shop.models.enqueue",
    "access_token": os.environ.get("HUBSPOT_TOKEN", ""),
    # These two, and the deadline, are for the race; a shop leaves them out.
    "api_url": os.environ.get("HUBSPOT_API", "https://api.hubapi.com"),
    "quiet_period": float(os.environ.get("QUIET_PERIOD", "0")),
}
# What everyone does, and makes duplicates: nobody begins a change.
USUAL = os.environ.get("SNIPPET") == "usual"
SILENCED_SYSTEM_CHECKS = ["vidcache.E004"] if USUAL else []

SECRET_KEY = os.environ.get("SECRET_KEY", "another secret that a real shop keeps elsewhere")
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATA_DIR / "shop.sqlite3", "OPTIONS": {"timeout": 20}},
}
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "vidcache.django",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "shop.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "vidcache.django.middleware.VidcacheMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "shop.views.snippet",
            ],
        },
    },
]
ROOT_URLCONF = "project.urls"
LOGIN_URL = "sign_in"
