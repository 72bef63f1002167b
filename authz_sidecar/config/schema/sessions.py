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
    """The session cookie."""

    name: CookieName = Field(
        default="authz",
        description="The name, to which `__Host-` is prefixed, or `__Secure-` with a `domain`.",
    )
    same_site: Literal["lax", "strict"] = Field(
        default="lax",
        description="With `strict`, links from other sites arrive without the session at first.",
    )
    domain: CookieDomain | None = Field(
        default=None,
        description="Share one cookie between all subdomains of this domain. Gives up the isolation"
        " between them.",
    )


class NearCacheSettings(Section):
    """A cache of verified sessions in the memory of each worker; Redis invalidates an entry as soon as
    it changes."""

    entries: Number = Field(
        default=100_000, ge=0, description="The maximum number of sessions; 0 disables the cache."
    )
    mebibytes: Number = Field(
        default=128,
        ge=1,
        le=1 << 20,
        description="The maximum memory in MiB; a session takes 1-3 KiB.",
    )


class Sessions(Section):
    """Where sessions are stored and for how long."""

    store: SecretText = Field(
        description="`redis://host:6379/0`, `rediss://` (TLS), `unix:///path?db=0`,"
        " `redis+sentinel://`, `redis+cluster://`, or `memory://` for one worker and trials;"
        " [more](redis.md).",
    )
    lifetime: Duration = Field(
        default=14 * 3600.0, description="The maximum lifetime of a session."
    )
    idle_timeout: Duration = Field(default=3600.0, description="An unused session ends after this.")
    grace: Duration = Field(
        default=0.0,
        description="How long sessions that are verified and in memory stay valid while the store is"
        " unreachable.",
    )
    near_cache: NearCacheSettings = Field(
        default_factory=NearCacheSettings,
        description="The cache of sessions in the memory of each worker.",
    )
    cookie: Cookie = Field(default_factory=Cookie, description="The session cookie.")
