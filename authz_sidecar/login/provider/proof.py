"""How the client proves that it is the client, in every request that goes from us to the provider:
at the token endpoint and where requests for sign-in are handed in beforehand."""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from authz_sidecar.login.provider.clientkey import (
    ASSERTION_TYPE,
    client_assertion,
    signed_secret,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_sidecar.login.provider.metadata import Metadata
    from authz_sidecar.login.provider.settings import ProviderSettings

_RANDOM_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What to add to a request: to its form, and to its head."""

    form: Mapping[str, str] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def proof_of(settings: ProviderSettings, metadata: Metadata, *, endpoint: str, now: float) -> Proof:
    """The client's credentials for a request to `endpoint`, one of the provider's own."""
    client_id, key = settings.client_id, settings.client_key
    secret = settings.client_secret
    if key is not None and settings.kind.signs_its_secret:
        secret = signed_secret(
            key,
            client_id=client_id,
            team_id=settings.team_id or "",
            issuer=settings.issuer,
            now=now,
        )
    elif key is not None:
        chosen = settings.client_assertion_audience or settings.kind.assertion_audience
        assertion = client_assertion(
            key,
            client_id=client_id,
            # Never another URL that the provider names: it could be that of another provider, to
            # which the assertion would be replayed.
            audience=metadata.issuer if chosen == "issuer" else endpoint,
            now=now,
            random=secrets.token_bytes(_RANDOM_BYTES),
        )
        return Proof(
            form={
                "client_id": client_id,
                "client_assertion_type": ASSERTION_TYPE,
                "client_assertion": assertion,
            }
        )
    if secret is None:
        return Proof(form={"client_id": client_id})
    return by_secret(client_id, secret, in_form=_by_post(settings, metadata))


def by_secret(client_id: str, secret: str, *, in_form: bool) -> Proof:
    if in_form:
        return Proof(form={"client_id": client_id, "client_secret": secret})
    # RFC 6749 section 2.3.1: both are form-encoded first.
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return Proof(form={}, headers={"authorization": f"Basic {b64encode(pair.encode()).decode()}"})


def _by_post(settings: ProviderSettings, metadata: Metadata) -> bool:
    if settings.client_authentication is not None:
        return settings.client_authentication == "client_secret_post"
    offered = metadata.token_endpoint_authentication
    return "client_secret_basic" not in offered and "client_secret_post" in offered
