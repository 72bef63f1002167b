"""Client authentication by a client secret (RFC 6749 section 2.3.1), for token and introspection
endpoints."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """The form parameters and header lines that authenticate the client in one request."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def secret_credentials(client_id: str, secret: str, *, in_form: bool) -> ClientCredentials:
    """Return the credentials for `client_secret_post` (`in_form`) or `client_secret_basic` (RFC
    6749 section 2.3.1)."""
    if in_form:
        return ClientCredentials(form={"client_id": client_id, "client_secret": secret})
    # RFC 6749 section 2.3.1: both are form-encoded first.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return ClientCredentials(
        form={}, headers={"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    )
