"""The section `sessions`: where sessions are stored and for how long."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from authz_sidecar.config.schema.kinds import (
    CookieDomain,
    CookieName,
    Duration,
    Number,
    SecretText,
    Section,
)


class Cookie(Section):
    """The session's cookie."""

    name: CookieName = Field(
        default="authz",
        description="`__Host-` is put before it, or `__Secure-` with a `domain`.",
    )
    same_site: Literal["lax", "strict"] = Field(
        default="lax",
        description="`strict` makes links from other sites arrive signed out at first.",
    )
    domain: CookieDomain | None = Field(
        default=None,
        description="Share one cookie between all subdomains of this domain, which gives up the"
        " isolation between them.",
    )


class NearCacheSettings(Section):
    """Verified sessions in the memory of each worker, dropped the moment Redis says that something
    about them has changed."""

    entries: Number = Field(
        default=100_000, ge=0, description="So many sessions at most; 0 keeps none."
    )
    mebibytes: Number = Field(
        default=128,
        ge=1,
        le=1 << 20,
        description="So much memory at most; a session takes 1-3 KiB.",
    )


class Sessions(Section):
    """Where sessions are kept and for how long."""

    store: SecretText = Field(
        description="`redis://host:6379/0`, `rediss://` (TLS), `unix:///path?db=0`,"
        " `redis+sentinel://`, `redis+cluster://`, or `memory://` for one worker and trials;"
        " [more](redis.md).",
    )
    lifetime: Duration = Field(
        default=14 * 3600.0, description="A session ends after this, always."
    )
    idle_timeout: Duration = Field(
        default=3600.0, description="A session that nobody uses ends after this."
    )
    grace: Duration = Field(
        default=0.0,
        description="How long sessions already verified and in memory may serve while the store is"
        " down.",
    )
    near_cache: NearCacheSettings = Field(
        default_factory=NearCacheSettings, description="Sessions in the memory of each worker."
    )
    cookie: Cookie = Field(default_factory=Cookie, description="The session's cookie.")
