"""The demo's sites, users and ports, and the sidecar's configuration for them. Values only; starts
nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SITES: Final = {
    "public": "public",
    "app": "every signed-in user",
    "admin": "members of the group admins",
}
AUTH_HOST: Final = "auth.localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user at the demo's provider."""

    subject: str
    name: str
    groups: tuple[str, ...]

    @property
    def email(self) -> str:
        """The user's e-mail address."""
        return f"{self.subject}@example.com"

    def claims(self) -> dict[str, object]:
        """Return the claims that the provider sends for the user."""
        return {
            "sub": self.subject,
            "name": self.name,
            "email": self.email,
            "email_verified": True,
            "groups": list(self.groups),
        }


ALICE: Final = User(subject="alice", name="Alice Adams", groups=("eng", "admins"))
BOB: Final = User(subject="bob", name="Bob Brown", groups=("eng",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Ports of 127.0.0.1; `public` is the proxy's, which the browser uses."""

    public: int
    app: int
    provider: int
    check: int
    web: int
    ops: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A demo with one proxy on fixed ports."""

    proxy: str
    ports: Ports

    @property
    def issuer(self) -> str:
        """The issuer of the demo's provider."""
        return f"http://localhost:{self.ports.provider}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names of all sites."""
        return tuple(f"{site}.localhost" for site in SITES)

    def origin(self, site: str) -> str:
        """Return the origin of a site."""
        return f"http://{site}.localhost:{self.ports.public}"

    def sidecar_config(self, *, secret_key: str) -> dict[str, object]:
        """Return the sidecar's configuration."""
        return {
            "server": {
                "listen": f"127.0.0.1:{self.ports.check}",
                "web_listen": f"127.0.0.1:{self.ports.web}",
                "ops_listen": f"127.0.0.1:{self.ports.ops}",
                "adapters": [self.proxy],
                "auth_host": f"http://{AUTH_HOST}:{self.ports.public}",
            },
            "secret_keys": [secret_key],
            "sessions": {"store": "memory://"},
            "identity_providers": {
                "demo": {
                    "type": "oidc",
                    "issuer": self.issuer,
                    "client_id": "authz-sidecar-demo",
                    "client_secret": "any-secret-will-do",
                    "callback": "own",
                    "scopes": ["openid", "profile", "email"],
                }
            },
            "headers": {"groups": "all"},
            "routes": [
                {
                    "name": "public",
                    "from": self.origin("public"),
                    "allow_public_unauthenticated_access": True,
                },
                {
                    "name": "app",
                    "from": self.origin("app"),
                    "allow_any_authenticated_user": True,
                },
                {
                    "name": "admin",
                    "from": self.origin("admin"),
                    "policy": [{"allow": {"and": [{"groups": {"has": "admins"}}]}}],
                },
            ],
        }
