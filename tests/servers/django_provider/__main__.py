"""An OpenID provider for the tests, on loopback: django-oauth-toolkit, as its users run it.

    python -m tests.servers.django_provider '{"port": 1, "clients": [], "access_token_seconds": 600}'

PKCE is required, refresh tokens rotate, and an answer names its issuer (RFC 9207). The signing key
is made at start, so a restart is a key rotation.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import django
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import run

APPS = ("django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions")
SITE = "tests.servers.django_provider.site"


def configure(*, port: int, access_token_seconds: int, database: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings.configure(
        SECRET_KEY="of this process only",
        ALLOWED_HOSTS=["localhost", "127.0.0.1"],
        ROOT_URLCONF=SITE,
        INSTALLED_APPS=[*APPS, "oauth2_provider"],
        # Tables as the models are now: the history of the schema is of no use here.
        MIGRATION_MODULES={app.rpartition(".")[2]: None for app in (*APPS, "oauth2_provider")},
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": database,
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}
        ],
        LOGIN_URL="/login",
        USE_TZ=True,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": f"http://localhost:{port}",
            "OIDC_RSA_PRIVATE_KEY": pem,
            "OAUTH2_VALIDATOR_CLASS": f"{SITE}.Validator",
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": True,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
            "PKCE_REQUIRED": True,
            "ROTATE_REFRESH_TOKEN": True,
            "ACCESS_TOKEN_EXPIRE_SECONDS": access_token_seconds,
            "SCOPES": {name: name for name in ("openid", "profile", "email", "groups")},
        },
    )


def register(clients: list[dict[str, Any]]) -> None:
    from oauth2_provider.models import Application  # needs the settings

    call_command("migrate", run_syncdb=True, verbosity=0)
    for client in clients:
        Application.objects.create(
            name=client["client_id"],
            client_id=client["client_id"],
            client_secret=client.get("client_secret", ""),
            client_type="confidential" if "client_secret" in client else "public",
            authorization_grant_type="authorization-code",
            algorithm="RS256",
            redirect_uris=" ".join(client["redirect_uris"]),
            post_logout_redirect_uris=" ".join(client["post_logout_redirect_uris"]),
            skip_authorization=True,
        )


def main(wanted: dict[str, Any]) -> None:
    # The tests hold our standard input open; when they are gone, so are we.
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="provider-") as place:
        configure(
            port=wanted["port"],
            access_token_seconds=wanted["access_token_seconds"],
            database=Path(place) / "provider.sqlite3",
        )
        django.setup()
        register(wanted["clients"])
        from django.core.wsgi import get_wsgi_application

        run("127.0.0.1", wanted["port"], get_wsgi_application(), threading=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
