"""Other forward-auth services that are running already and want to be compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.services import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

PEERS, PEER_COOKIE = "AUTHZ_BENCH_PEER", "AUTHZ_BENCH_PEER_COOKIE"


def parse_peers(environment: Mapping[str, str]) -> list[Service]:
    """`name=http://127.0.0.1:4180/oauth2/auth`, separated by spaces."""
    services = []
    for text in environment.get(PEERS, "").split():
        match = re.fullmatch(r"([^=]+)=http://([\w.-]+)(?::(\d+))?(/\S*)?", text)
        if match is None:
            raise SystemExit(f"{PEERS}: `{text}` is not `name=http://HOST:PORT/PATH`")
        name, host, port, path = match.groups()
        services.append(Service(name=name, host=host, port=int(port or 80), path=path or "/"))
    return services


def slug(name: str) -> str:
    """As it stands in the name of a ratio."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
