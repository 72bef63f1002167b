"""Where the browser goes so that the provider signs out too."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from authz_sidecar.core.urls import parse_url

if TYPE_CHECKING:
    from authz_sidecar.login.provider.metadata import Metadata
    from authz_sidecar.login.provider.settings import ProviderSettings


def end_session_url(
    settings: ProviderSettings,
    metadata: Metadata,
    *,
    id_token: str | None,
    return_to: str,
    state: str,
) -> str | None:
    """RP-Initiated Logout 1.0, section 2, or as the kind has it; None where there is neither."""
    endpoint, by_its_kind = metadata.end_session_endpoint, settings.kind.sign_out
    if by_its_kind is not None and (by_its_kind.instead or endpoint is None):
        origin, _ = parse_url(metadata.authorization_endpoint)
        parameters = {"client_id": settings.client_id, by_its_kind.parameter: return_to}
        return f"{origin}{by_its_kind.path}?{urlencode(parameters)}"
    if endpoint is None:
        return None
    parameters = {
        "client_id": settings.client_id,
        "post_logout_redirect_uri": return_to,
        "state": state,
    } | ({"id_token_hint": id_token} if id_token else {})
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"
