"""All criteria of the policy language, by their names."""

from __future__ import annotations

from types import MappingProxyType

from authz_sidecar.policy.criteria.authentication import authentication
from authz_sidecar.policy.criteria.base import (
    Builder,
    CompileContext,
    Criterion,
    Dependency,
    accept,
    reject,
)
from authz_sidecar.policy.criteria.certificate import (
    client_certificate,
    invalid_client_certificate,
)
from authz_sidecar.policy.criteria.device import device
from authz_sidecar.policy.criteria.network import source_ip
from authz_sidecar.policy.criteria.record import record
from authz_sidecar.policy.criteria.request import (
    cors_preflight,
    http_header,
    http_method,
    http_path,
    query,
)
from authz_sidecar.policy.criteria.time import date, day_of_week, time_of_day
from authz_sidecar.policy.criteria.tool import mcp_tool
from authz_sidecar.policy.criteria.user import (
    authenticated_user,
    claim,
    domain,
    email,
    groups,
    user,
)

__all__ = ["BUILDERS", "WITHOUT_TRANSPORT", "CompileContext", "Criterion", "Dependency"]

BUILDERS: MappingProxyType[str, Builder] = MappingProxyType(
    {
        "accept": accept,
        "authenticated_user": authenticated_user,
        "authentication": authentication,
        "claim": claim,
        "client_certificate": client_certificate,
        "cors_preflight": cors_preflight,
        "date": date,
        "day_of_week": day_of_week,
        "device": device,
        "domain": domain,
        "email": email,
        "groups": groups,
        "http_header": http_header,
        "http_method": http_method,
        "http_path": http_path,
        "invalid_client_certificate": invalid_client_certificate,
        "mcp_tool": mcp_tool,
        "query": query,
        "record": record,
        "reject": reject,
        "source_ip": source_ip,
        "time_of_day": time_of_day,
        "user": user,
    }
)

WITHOUT_TRANSPORT = frozenset({"device", "mcp_tool"})
"""Known to the language, but no adapter delivers what they compare yet."""
