"""Every criterion of the language by its name in a policy."""

from __future__ import annotations

from types import MappingProxyType

from authz_sidecar.policy.criteria.base import About, Builder, Criterion, Site
from authz_sidecar.policy.criteria.cors import cors_preflight
from authz_sidecar.policy.criteria.http import http_method, http_path
from authz_sidecar.policy.criteria.network import source_ip
from authz_sidecar.policy.criteria.plain import accept, reject
from authz_sidecar.policy.criteria.user import (
    authenticated_user,
    claim,
    domain,
    email,
    groups,
    user,
)

__all__ = ["BUILDERS", "About", "Criterion", "Site"]

BUILDERS: MappingProxyType[str, Builder] = MappingProxyType(
    {
        "accept": accept,
        "authenticated_user": authenticated_user,
        "claim": claim,
        "cors_preflight": cors_preflight,
        "domain": domain,
        "email": email,
        "groups": groups,
        "http_method": http_method,
        "http_path": http_path,
        "reject": reject,
        "source_ip": source_ip,
        "user": user,
    }
)
