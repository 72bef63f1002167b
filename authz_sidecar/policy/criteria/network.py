"""`source_ip`: the client's address is in one of the listed networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_sidecar.core.networks import Network, parse_network, unmap_ipv4
from authz_sidecar.core.types import CheckRequest, RequestAttribute
from authz_sidecar.policy.criteria.base import CompileContext, Criterion, Dependency
from authz_sidecar.policy.reasons import outcome_of_failure, outcome_of_success

if TYPE_CHECKING:
    from collections.abc import Iterable

_ATTRIBUTES = frozenset({RequestAttribute.CLIENT_ADDRESS})


def source_ip(data: object, compile_context: CompileContext) -> Criterion | None:
    """Compiles `source_ip`; None after reporting problems."""
    if not isinstance(data, str | list | tuple):
        compile_context.problem(
            "takes an address, a network such as `10.0.0.0/8`, or an array of them"
        )
        return None
    texts = [data] if isinstance(data, str) else list(data)
    networks = [_network(text, compile_context, index) for index, text in enumerate(texts)]
    ranges = _ranges(network for network in networks if network is not None)
    if None in networks:
        return None
    passing, failing = (
        outcome_of_success("source-ip-ok"),
        outcome_of_failure("source-ip-unauthorized"),
    )
    unknown = compile_context.when_unknown(code="source-ip-unknown", failing=failing)

    def test(request: CheckRequest, _subject: object, _now: float, _context: object) -> int:
        client = request.client
        if client is None:
            return unknown
        client = unmap_ipv4(client)
        value, version = int(client), client.version
        for first, last, family in ranges:
            if first <= value <= last and family == version:
                return passing
        return failing

    return compile_context.criterion(test, Dependency.REQUEST, attributes=_ATTRIBUTES)


def _network(text: object, compile_context: CompileContext, index: int) -> Network | None:
    if not isinstance(text, str):
        compile_context.problem("takes addresses and networks written as strings", index)
        return None
    try:
        return parse_network(text)
    except ValueError:
        compile_context.problem(
            f"`{text[:100]}` is neither an address nor a network such as `10.0.0.0/8`", index
        )
        return None


def _ranges(networks: Iterable[Network]) -> tuple[tuple[int, int, int], ...]:
    """Networks as (first, last, IP version): a request costs only comparisons of integers."""
    return tuple(
        (int(network.network_address), int(network.broadcast_address), network.version)
        for network in networks
    )
