"""The section `basic_auth`: users of a password file, for clients that support HTTP Basic only."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from authz_sidecar.config.schema.kinds import (
    MustBeList,
    MustBeMap,
    Number,
    SecretText,
    Section,
    Text,
)


class BasicAuth(Section):
    """HTTP Basic (RFC 7617) against a password file, on routes with `basic_auth: true`."""

    users: SecretText = Field(
        description="The password file: `{file: /etc/authz-sidecar/htpasswd}`, with lines as"
        " `htpasswd -B` writes them (bcrypt), or with Argon2id hashes. Read with the configuration.",
    )
    realm: Text = Field(
        default="authz", description="The realm, which clients show when they ask for a password."
    )
    groups: Annotated[dict[Text, Annotated[tuple[Text, ...], MustBeList]], MustBeMap] = Field(
        default_factory=dict, description="Groups of these users, for policies: names by group."
    )
    guesses: Number = Field(
        default=10,
        ge=1,
        description="The maximum number of password attempts for one account from one network in each"
        " `server.throttle.window`. Passwords that were verified recently do not count.",
    )
