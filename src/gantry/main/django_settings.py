"""Django's settings, made from `gantry.config`. Nothing here opens a file but the secret key and a connection."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import gantry
from gantry import config

_config = config.current()

DEBUG = False
ROOT_URLCONF = "gantry.main.urls"
ASGI_APPLICATION = "gantry.main.asgi.application"
AUTH_USER_MODEL = "accounts.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
INSTALLED_APPS = [
    "gantry.audit",
    "gantry.accounts",
    "gantry.facts",
    "gantry.catalogue",
    "gantry.intake",
    "gantry.nodes",
    "gantry.transfers",
    "gantry.routing",
    "gantry.alerts",
    "gantry.receiver",
    "gantry.main",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "procrastinate.contrib.django",
    "ninja",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
]
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "work"


def _database(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "gantry",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(options.pop("port", None) or parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**options, "application_name": "gantry-orm"},
    }


DATABASES = {"default": _database(os.environ.get("GANTRY_DATABASE_URL") or _config.database_url or "postgresql:///gantry")}


def _secret_key() -> str:
    path = Path(_config.home) / "secrets" / "django.key"
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


# Made by `gantry up` (main/home.py); without it nothing that signs can run, which is right.
SECRET_KEY = _secret_key()

_http_host, _ = config.split_address(_config.http)
#: Listening everywhere says nothing about the names by which we are called.
_EVERYWHERE = {"0.0.0.0", "::"}  # noqa: S104  compared, not bound
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *({_http_host} - _EVERYWHERE), *_config.allowed_hosts]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
MFA_ADAPTER = "gantry.accounts.sealing.Adapter"
SOCIALACCOUNT_ADAPTER = "gantry.main.openid_adapter.Adapter"
SOCIALACCOUNT_LOGIN_ON_GET = True  # the way back is bound to the session by `state`
MFA_TOTP_TOLERANCE = 1  # clocks of phones
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
if _config.behind_tls_proxy:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _config.behind_tls_proxy
SESSION_ENGINE = "gantry.accounts.session_store"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
LOGGING_CONFIG = None  # main/logs.py sets up logging for every process alike
GANTRY_VERSION = gantry.__version__
