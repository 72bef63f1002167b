"""One question, answered from memory, after one look into the store, or not at all: the gate's
decision without what surrounds it.

Decides only whether everything that the answer rests on is at hand. What is decided, and how it is
said, comes from where the gate has it; `tests/conformance/test_fastpath_equivalence.py` holds the two
together.
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
    """`is_trusted` judges a connection by `client` and `server` of its scope;
    `headers_stable_until` says how long the headers for a session on a host stay what they are
    now. `count_allowed`, by the adapter's name, counts what passed, told how long it took, and
    says whether that is all that anybody wants to know of it."""

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
        """To the question that is the whole of `data`; None where others have to answer it."""
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
            # Whatever this was, it is asked again elsewhere.
            logger.exception("a question was left to the framework")
            return None

    async def complete_lookup(self, lookup: PendingLookup) -> RawResponse | None:
        """The reply once the session has been looked for; None where others have to answer."""
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
            logger.exception("a question was left to the framework")
            return None

    def _respond(self, check: ParsedCheck, started: float) -> RawResponse | PendingLookup | None:
        block = check.block
        found = self.routes.find(block.host, check.path)
        if found is None:
            return None
        if check.query:
            check_visible_ascii(check.query.decode("latin-1"))
        entry = found.entry
        if entry is None:
            return self._render(check, _NO_ROUTE, started)
        if not entry.needs_session or block.cookie is None:
            return self._respond_to_hit(check, entry, None, started, self.clock())
        # Where several providers' sessions count, each has a cookie of its own.
        return (
            None
            if entry.provider is None
            else self._lookup_session(check, entry, entry.provider, started)
        )

    def _lookup_session(
        self, check: ParsedCheck, entry: RouteEntry, provider: str, started: float
    ) -> RawResponse | PendingLookup | None:
        """With the session that is asked with, if there is one."""
        block, now = check.block, self.clock()
        token, scope = block.token(provider), block.host.scope
        if token is None:
            return self._respond_to_hit(check, entry, None, started, now)
        session_entry = self.sessions.lookup(token, scope=scope, provider=provider, now=now)
        if session_entry is not None:
            return self._respond_to_hit(check, entry, session_entry, started, now)
        # While the store is away, it is for others to say so.
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
        """For a session that was not in memory, and perhaps will not be: nothing is worked out
        beforehand for what it may ask next."""
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
            # What else the answer says is in the reply that was kept.
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
        # The cookies stand in the key, and most of them in the answer.
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
    """`adapters` are those that the gate is asked through."""
    places = HostCache(authorizer.index, authorizer.cookies)
    return FastPath(
        parser=CheckParser(
            adapters,
            header_blocks=HeaderBlockParser(
                hosts=places, names=authorizer.names, trusted_hops=trusted_hops
            ),
        ),
        routes=RouteCache(authorizer.index),
        sessions=sessions,
        responses=authorizer.responses,
        recorder=authorizer.recorder,
        count_allowed={each.name: count_allowed(each.name) for each in adapters.values()},
        is_trusted=is_trusted,
        headers_stable_until=headers_stable_until,
        clock=authorizer.clock,
        timer=authorizer.timer,
        request_id=request_id,
    )
