"""uvicorn's HTTP/1.1 protocol over httptools, with limits and without its leniencies.

Decides which bytes are a request: a request that is too large, too slow or ambiguous is refused here
and never reaches an application. Must not know what the applications are. The raw request target
travels in `scope["authz_target"]`, because uvicorn percent-decodes `path`.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from authz_sidecar.server.limits import ErrorResponse, validate_head

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from authz_sidecar.server.limits import ListenerLimits

logger = logging.getLogger(__name__)


class Phase(Enum):
    """What of a request a connection is receiving."""

    IDLE = auto()  # before the first byte, and between requests
    HEAD = auto()
    BODY = auto()


class RequestRefusedError(Exception):
    """Stops the parser from within a callback, after the connection was refused."""


class HardenedHttpProtocol(HttpToolsProtocol):
    """One connection.

    `limits`: the limits of the listener.
    `on_refusal`: called with the status of each refused request.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ListenerLimits,
        on_refusal: Callable[[int], None],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._on_refusal = on_refusal
        self._phase = Phase.IDLE
        self._messages_started = 0  # in the current chunk
        self._head_received = 0  # bytes of an unfinished head, as they came
        self._head_parsed = 0  # bytes of the head that the parser has passed on
        self._content_received = False  # in the current chunk
        self._framing_received = 0  # bytes of a body since the last content
        self._keep_alive_allowed = False
        self._draining = False
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._error_response: ErrorResponse | None = None

    # The connection

    def connection_made(self, transport: Any) -> None:
        """Accept the connection, or refuse it with 503 beyond `max_connections`."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.max_connections:
            self._refuse(ErrorResponse(503, "Too many connections."), linger=False)
        else:
            self._start_deadline(self._limits.head_timeout_seconds)
            if getattr(self.server_state, "draining", False):
                self.shutdown()  # accepted while the server was closing

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers of the connection."""
        self._cancel_deadline()
        self._cancel_write_timeout()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and refuse what is malformed or exceeds a limit."""
        if self._error_response is not None:
            if not self._all_responses_sent():
                self.flow.pause_reading()
            return
        self._unset_keepalive_if_required()
        previous_phase, self._messages_started, self._content_received = self._phase, 0, False
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request is served without an upgrade; `_keep_alive_allowed` closes behind it
        except httptools.HttpParserError:
            self._refuse(ErrorResponse(400, "The request is malformed."))
        if self._error_response is None and not self.transport.is_closing():
            self._after_chunk(previous_phase, len(data))

    def _after_chunk(self, previous_phase: Phase, size: int) -> None:
        if self._phase is Phase.HEAD:
            # Where the head began behind other requests in this chunk, its bytes are counted from
            # the next chunk on: too lenient by one chunk, never too strict.
            if self._messages_started == 0 or (
                previous_phase is Phase.IDLE and self._messages_started == 1
            ):
                self._head_received += size
            if self._head_received > self._limits.max_head_bytes:
                self._refuse(ErrorResponse(431, "The request head is too large."))
            else:
                self._start_deadline(self._limits.head_timeout_seconds)
        elif self._phase is Phase.BODY:
            # Chunk extensions and trailer fields are not content, and no flow control bounds them:
            # they are counted as heads are.
            is_framing_only = previous_phase is Phase.BODY and not self._content_received
            self._framing_received = self._framing_received + size if is_framing_only else 0
            if self._framing_received > self._limits.max_framing_bytes:
                self._refuse(ErrorResponse(400, "The request is malformed."))
            else:
                self._start_deadline(self._limits.body_timeout_seconds)
        elif previous_phase is Phase.IDLE and self._messages_started == 0:
            # Empty lines before a request line (RFC 9112 section 2.2) extend no deadline.
            self._start_deadline(self._limits.head_timeout_seconds)

    def shutdown(self) -> None:
        """Respond to open requests, then close.

        An idle connection closes after `drain_grace_seconds`.
        """
        self._draining = True
        self._keep_alive_allowed = False
        if not self._all_responses_sent():
            self.cycle.keep_alive = False
        elif self._phase is Phase.IDLE:
            # A request may be in flight or unread: closing now would reset the connection.
            self.loop.call_later(self._limits.drain_grace_seconds, self._close_if_idle)
        # else: a head has begun, and its deadline bounds it

    def _close_if_idle(self) -> None:
        if self._phase is Phase.IDLE and self._all_responses_sent():
            self.transport.close()

    def pause_writing(self) -> None:
        """Start the write timeout: the client does not read."""
        super().pause_writing()
        if self._write_deadline is None:
            self._write_deadline = self.loop.call_later(
                self._limits.write_timeout_seconds, self.transport.abort
            )

    def resume_writing(self) -> None:
        """Stop the write timeout: the client reads again."""
        super().resume_writing()
        self._cancel_write_timeout()

    def _cancel_write_timeout(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    # Time

    def _start_deadline(self, seconds: float) -> None:
        """Start the timer for what is being received, unless it is running."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.flow.read_paused:  # we do not read, so the client is not slow
            self._start_deadline(self._limits.head_timeout_seconds)
        elif self._phase is Phase.HEAD:
            self._refuse(ErrorResponse(408, "The request took too long to arrive."))
        elif self._phase is Phase.BODY or self._all_responses_sent():
            # On an idle connection a 408 could be taken for the response to a request just sent.
            self.transport.close()

    def _all_responses_sent(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)

    # Parser callbacks

    def on_message_begin(self) -> None:
        """Begin a request head (parser callback)."""
        super().on_message_begin()
        self._phase = Phase.HEAD
        self._messages_started += 1
        self._head_received = 0
        self._head_parsed = 0

    def on_url(self, url: bytes) -> None:
        """Add to the request target (parser callback).

        Raises `RequestRefusedError` beyond the head limit.
        """
        super().on_url(url)
        self._count_head_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header line (parser callback). Trailer fields are ignored.

        Raises `RequestRefusedError` beyond a head limit.
        """
        if self._phase is not Phase.HEAD:
            return  # a trailer field: RFC 9110 section 6.5.1 forbids merging it into the header
        super().on_header(name, value)
        self._count_head_bytes(len(name) + len(value) + len(b": \r\n"))
        if len(self.headers) > self._limits.max_header_lines:
            raise self._refusal_error(ErrorResponse(431, "The request has too many header lines."))

    def _count_head_bytes(self, size: int) -> None:
        self._head_parsed += size
        if self._head_parsed > self._limits.max_head_bytes:
            raise self._refusal_error(ErrorResponse(431, "The request head is too large."))

    def on_headers_complete(self) -> None:
        """Validate the head and start the request (parser callback).

        Raises `RequestRefusedError` for an invalid head, and for more than `max_pipelined` waiting
        requests.
        """
        self._cancel_deadline()
        error_response = validate_head(self.url, self.parser.get_http_version(), self.headers)
        if error_response is not None:
            raise self._refusal_error(error_response)
        self.scope["authz_target"] = self.url  # type: ignore[typeddict-unknown-key]
        if len(self.pipeline) >= self._limits.max_pipelined:
            # One chunk holds hundreds of them, and each takes many times its length in memory.
            raise self._refusal_error(ErrorResponse(429, "Too many pipelined requests."))
        super().on_headers_complete()
        self._phase = Phase.BODY
        # Before the whole body has been read, its rest could be taken for the next request. And what
        # follows a request to upgrade may not be HTTP (RFC 9110 section 7.8).
        self._keep_alive_allowed = (
            self.cycle.keep_alive and not self._draining and not self.parser.should_upgrade()
        )
        self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Add content of the body (parser callback)."""
        super().on_body(body)
        self._content_received = True

    def on_message_complete(self) -> None:
        """End the request; from now on the connection may be kept alive (parser callback)."""
        super().on_message_complete()
        self._cancel_deadline()
        self._phase = Phase.IDLE
        if not self.cycle.response_started:
            self.cycle.keep_alive = self._keep_alive_allowed

    def on_response_complete(self) -> None:
        """Start the next pipelined request, or send an error response that had to wait."""
        was_last = not self.pipeline
        super().on_response_complete()
        if was_last and self._error_response is not None and not self.transport.is_closing():
            self._write_error_response(self._error_response, linger=True)

    # Refusals

    def _refusal_error(self, error_response: ErrorResponse) -> Exception:
        """Refuse the request, and return the exception that stops the parser."""
        self._refuse(error_response)
        return RequestRefusedError(error_response.message)

    def _refuse(self, error_response: ErrorResponse, *, linger: bool = True) -> None:
        if self._error_response is not None:
            return
        self._error_response = error_response
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        self._on_refusal(error_response.status)
        logger.info("refused a request with %d: %s", error_response.status, error_response.message)
        if self._phase is Phase.BODY:
            self.transport.close()  # the application has begun and receives `http.disconnect`
        elif self._all_responses_sent():
            self._write_error_response(error_response, linger=linger)
        # else: the responses to earlier requests of this connection go first

    def _write_error_response(self, error_response: ErrorResponse, *, linger: bool) -> None:
        self.transport.write(error_response.serialize(self.server_state.default_headers))
        if linger and self.transport.can_write_eof():
            # Closing with unread bytes resets the connection, and the client may lose the response
            # (RFC 9112 section 9.6): close the write side, and discard input for a moment.
            self.transport.write_eof()
            self.loop.call_later(self._limits.linger_seconds, self.transport.close)
        else:
            self.transport.close()
