"""How a client authenticates by its secret (RFC 6749 section 2.3.1), at token and introspection endpoints."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """What to add to a request: to its form, and to its head."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def secret_credentials(client_id: str, secret: str, *, in_form: bool) -> ClientCredentials:
    if in_form:
        return ClientCredentials(form={"client_id": client_id, "client_secret": secret})
    # RFC 6749 section 2.3.1: both are form-encoded first.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return ClientCredentials(
        form={}, headers={"authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    )
