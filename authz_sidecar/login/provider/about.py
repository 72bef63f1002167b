"""Where and how a kind of provider says more about a user than OpenID Connect does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from authz_sidecar.login.provider.graph import GRAPH

if TYPE_CHECKING:
    from authz_sidecar.login.provider.settings import ProviderSettings

_LONGEST_NAME = 200
_LONGEST_USER = 4096


def api_of(settings: ProviderSettings) -> str:
    """The base of the provider's API, without a slash at its end."""
    plain, issuer = settings.kind.plain_oauth, settings.issuer.removesuffix("/")
    if settings.api is not None:
        return settings.api.removesuffix("/")
    if plain is None:
        return GRAPH
    return plain.hosted_api if issuer == plain.hosted else f"{issuer}{plain.api_path}"


def posted_name(text: str | None) -> str | None:
    """The name in what Apple has the browser post at the first sign-in ("Receive the authorization
    response"). Nobody vouches for it: it is shown, and no policy reads it."""
    if text is None or len(text) > _LONGEST_USER:
        return None
    try:
        user = json.loads(text)
    except (ValueError, RecursionError):
        return None
    name = user.get("name") if isinstance(user, Mapping) else None
    if not isinstance(name, Mapping):
        return None
    parts = (name.get(part) for part in ("firstName", "lastName"))
    whole = " ".join(part.strip() for part in parts if isinstance(part, str)).strip()
    return whole if whole.isprintable() and 0 < len(whole) <= _LONGEST_NAME else None
