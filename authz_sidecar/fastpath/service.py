"""The fast path beside an authorizer: responds from memory, after one fetch from the store, or not
at all.

Decides only whether everything that a response depends on is at hand. The decision and the response
come from the functions that the authorizer uses, with its routes, responses, recorder and clock;
`tests/conformance/test_fastpath_equivalence.py` compares the two.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from authz_sidecar.adapters.base import Allowed, AuthzResponse
from authz_sidecar.check.authorizer import CheckRecord, log_outcome, log_reasons
from authz_sidecar.check.responses import AuthorizationResult
from authz_sidecar.core.types import Allow, Deny
from authz_sidecar.core.urls import MalformedUrl, check_visible_ascii
from authz_sidecar.errors import AuthzError
from authz_sidecar.fastpath.header_blocks import HeaderBlockParser
from authz_sidecar.fastpath.raw_responses import serialize, serialize_headers
from authz_sidecar.fastpath.request_parser import CheckParser
from authz_sidecar.fastpath.response_cache import (
    CachedResponse,
    PendingLookup,
    SessionCache,
    SessionResponses,
    responses_of,
)
from authz_sidecar.fastpath.route_cache import HostCache, RouteCache
from authz_sidecar.policy import decide

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_sidecar.adapters.base import Adapter
    from authz_sidecar.adapters.trusted_peers import NetworkSet
    from authz_sidecar.check.authorizer import Authorizer, Recorder
    from authz_sidecar.check.responses import ResponseFactory
    from authz_sidecar.core.types import Decision, Session
    from authz_sidecar.core.urls import Origin
    from authz_sidecar.fastpath.header_blocks import HeaderBlock
    from authz_sidecar.fastpath.raw_responses import RawResponse
    from authz_sidecar.fastpath.request_parser import ParsedCheck
    from authz_sidecar.fastpath.response_cache import CachedSession, SessionCache
    from authz_sidecar.fastpath.route_cache import RouteEntry
    from authz_sidecar.policy import Residual

logger = logging.getLogger(__name__)

MAX_ANONYMOUS_RESPONSES = 512
_FOREVER = float("inf")
_NO_ROUTE = AuthorizationResult(decision=Deny(frozenset({"route-not-found"})))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FastPath:
    """Responds to plain subrequests.

    - `count_allowed`: by adapter name, counts an allowed check, given its duration; False when a
      full record is needed.
    - `is_trusted`: whether a connection may send subrequests, by `client` and `server` of its ASGI
      scope.
    - `headers_stable_until`: the Unix time until which a session's identity headers on a host stay
      the same.
    - `clock`: the time in Unix seconds.
    - `timer`: a monotonic time, for durations.
    - `request_id`: returns a new request id.
    """

    parser: CheckParser
    routes: RouteCache
    sessions: SessionCache
    responses: ResponseFactory
    recorder: Recorder
    count_allowed: Mapping[str, Callable[[float], bool]]
    is_trusted: Callable[[Mapping[str, Any]], bool]
    headers_stable_until: Callable[[Session, Origin], float]
    clock: Callable[[], float]
    timer: Callable[[], float]
    request_id: Callable[[], str]
    _anonymous_responses: SessionResponses = field(
        default_factory=lambda: SessionResponses(None, max_entries=MAX_ANONYMOUS_RESPONSES)
    )

    def try_respond(self, data: bytes) -> RawResponse | PendingLookup | None:
        """Return the response to a complete subrequest, or a session lookup to complete; None to
        fall through to ASGI."""
        started = self.timer()
        try:
            block, target = self.parser.cached_lookup(data)
            if block is not None:
                path, _, query = target.partition(b"?")
                cached = block.responses.get(path)
                if cached is not None:
                    if query:
                        check_visible_ascii(query.decode("latin-1"))
                    now, session_entry = self.clock(), cached.session_entry
                    if now < cached.until and (
                        session_entry is None or self.sessions.is_current(session_entry, now)
                    ):
                        if cached.count_allowed(self.timer() - started):
                            return cached.raw
                        if cached.record is not None:
                            cached.record(self.timer() - started, self.request_id())
                            return cached.raw
            check = self.parser.parse(data)
            return None if check is None else self._respond(check, started)
        except (AuthzError, MalformedUrl):
            return None
        except Exception:
            # After any error, the check runs again outside the fast path.
            logger.exception("a check failed on the fast path, the application answers it")
            return None

    async def complete_lookup(self, lookup: PendingLookup) -> RawResponse | None:
        """Fetch the session and return the response; None to fall through to ASGI."""
        check, entry, token, scope, provider, started = lookup
        try:
            session_entry = await self.sessions.fetch(token, scope=scope, provider=provider)
            now = self.clock()
            if session_entry is not None and session_entry.session.needs_refresh(now):
                return None
            return self._respond_to_miss(check, entry, session_entry, started, now)
        except (AuthzError, MalformedUrl):
            return None
        except Exception:
            logger.exception("a check failed on the fast path, the application answers it")
            return None

    def _respond(self, check: ParsedCheck, started: float) -> RawResponse | PendingLookup | None:
        block = check.block
        lookup = self.routes.find(block.host, check.path)
        if lookup is None:
            return None
        if check.query:
            check_visible_ascii(check.query.decode("latin-1"))
        entry = lookup.entry
        if entry is None:
            return self._render(check, _NO_ROUTE, started)
        if not entry.needs_session or block.cookie is None:
            return self._respond_to_hit(check, entry, None, started, self.clock())
        # A route with several providers has a cookie for each, which is left to the authorizer.
        return (
            None
            if entry.provider is None
            else self._lookup_session(check, entry, entry.provider, started)
        )

    def _lookup_session(
        self, check: ParsedCheck, entry: RouteEntry, provider: str, started: float
    ) -> RawResponse | PendingLookup | None:
        """Respond with the session of the request, if it has one."""
        block, now = check.block, self.clock()
        token, scope = block.token(provider), block.host.scope
        if token is None:
            return self._respond_to_hit(check, entry, None, started, now)
        session_entry = self.sessions.lookup(token, scope=scope, provider=provider, now=now)
        if session_entry is not None:
            return self._respond_to_hit(check, entry, session_entry, started, now)
        # While the store is down, the authorizer responds.
        return (
            None
            if self.sessions.is_store_down
            else PendingLookup(check, entry, token, scope, provider, started)
        )

    def _respond_to_miss(
        self,
        check: ParsedCheck,
        entry: RouteEntry,
        session_entry: CachedSession | None,
        started: float,
        now: float,
    ) -> RawResponse | None:
        """Respond for a session that was not in memory. Nothing is cached: it may not stay in
        memory."""
        session = None if session_entry is None else session_entry.session
        identity = None if session is None else session.identity
        decision = decide(entry.route.policy, check.request, identity, now=now)
        result = AuthorizationResult(decision=decision, route=entry.route, session=session)
        return self._render(check, result, started)

    def _respond_to_hit(
        self,
        check: ParsedCheck,
        entry: RouteEntry,
        session_entry: CachedSession | None,
        started: float,
        now: float,
    ) -> RawResponse | None:
        session = None if session_entry is None else session_entry.session
        cached = (
            self._anonymous_responses
            if session_entry is None
            else responses_of(session_entry, self)
        )
        residual = (
            entry.anonymous_residual(now)
            if session is None
            else cached.residual(entry, session.identity, now=now)
        )
        result = AuthorizationResult(
            decision=_decision(residual, check), route=entry.route, session=session
        )
        block = check.block
        cacheable = isinstance(result.decision, Allow) and block.profile.is_cacheable
        if not cacheable or entry.route.set_request_headers:
            return self._render(check, result, started)
        key = block.profile, block.host, entry, block.cookie, block.keep_alive
        prepared = cached.prepared.get(key)
        if prepared is None or now >= prepared[1]:
            store = partial(self._cache, cached, key, session_entry, block)
            return self._render(check, result, started, store=store)
        response = CachedResponse(
            prepared[0],
            until=min(prepared[1], residual.stable_until),
            session_entry=session_entry,
            count_allowed=self.count_allowed[block.profile.name],
        )
        if entry.is_cacheable and (
            entry.depends_on_block_only or (check.has_cached_headers and not entry.depends_on_query)
        ):
            block.cache(check.path, response)
        if not response.count_allowed(self.timer() - started):
            # The record needs no headers: they are in the cached response.
            response.record = self.recorder.repeat(
                _check_record(check, result, Allowed(), status=200)
            )
            response.record(self.timer() - started, self.request_id())
        return response.raw

    def _render(
        self,
        check: ParsedCheck,
        result: AuthorizationResult,
        started: float,
        *,
        store: Callable[[RawResponse], None] | None = None,
    ) -> RawResponse | None:
        block, request = check.block, check.request
        request_id = self.request_id()
        response = self.responses.response(request, result, request_id)
        http_response = block.profile.adapter.render(response, request)
        head = serialize_headers(http_response)
        if head is None:
            return None
        body = b"" if block.bodiless else http_response.body
        raw = serialize(http_response.status, head, body, keep_alive=block.keep_alive)
        if store is not None and isinstance(response, Allowed):
            store(raw)
        self.recorder.record(
            _check_record(
                check,
                result,
                response,
                status=http_response.status,
                seconds=self.timer() - started,
                request_id=request_id,
            )
        )
        return raw

    def _cache(
        self,
        cached: SessionResponses,
        key: object,
        session_entry: CachedSession | None,
        block: HeaderBlock,
        raw: RawResponse,
    ) -> None:
        weight_before = cached.weight
        until = _FOREVER
        if session_entry is not None:
            session = session_entry.session
            cacheable_until = self.responses.cacheability.stable_until(session)
            until = min(self.headers_stable_until(session, block.host.origin), cacheable_until)
        # The cookies are in the key, and most of them in the response.
        cached.store(key, raw, size=len(raw.rest) + len(block.cookie or ""), until=until)
        if session_entry is not None:
            self.sessions.add_weight(session_entry, cached.weight - weight_before)


def _decision(residual: Residual, check: ParsedCheck) -> Decision:
    constant = residual.constant
    return residual.decide(check.request) if constant is None else constant


def _check_record(
    check: ParsedCheck,
    result: AuthorizationResult,
    response: AuthzResponse,
    *,
    status: int,
    seconds: float = 0.0,
    request_id: str = "",
) -> CheckRecord:
    return CheckRecord(
        adapter=check.block.profile.name,
        outcome=log_outcome(response),
        status=status,
        reasons=log_reasons(response, result),
        seconds=seconds,
        request_id=request_id,
        request=check.request,
        route=None if result.route is None else result.route.name,
        session=result.session,
    )


def build_fast_path(
    authorizer: Authorizer,
    *,
    adapters: Mapping[str, Adapter],
    trusted_hops: NetworkSet,
    sessions: SessionCache,
    count_allowed: Callable[[str], Callable[[float], bool]],
    is_trusted: Callable[[Mapping[str, Any]], bool],
    headers_stable_until: Callable[[Session, Origin], float],
    request_id: Callable[[], str],
) -> FastPath:
    """Return the fast path of an authorizer; `adapters` are those of the same listener."""
    hosts = HostCache(authorizer.index, authorizer.cookies)
    return FastPath(
        parser=CheckParser(
            adapters,
            header_blocks=HeaderBlockParser(
                hosts=hosts, names=authorizer.names, trusted_hops=trusted_hops
            ),
        ),
        routes=RouteCache(authorizer.index),
        sessions=sessions,
        responses=authorizer.responses,
        recorder=authorizer.recorder,
        count_allowed={adapter.name: count_allowed(adapter.name) for adapter in adapters.values()},
        is_trusted=is_trusted,
        headers_stable_until=headers_stable_until,
        clock=authorizer.clock,
        timer=authorizer.timer,
        request_id=request_id,
    )
