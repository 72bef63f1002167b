"""The protocol of the check listener: the fast path before the ASGI application.

Decides when a connection is in a state in which a response may be written at once; otherwise the
request takes the ordinary way through uvicorn. Must not know how the fast path decides.
`tests/server/test_fastpath_contract.py` pins what it relies on in uvicorn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from authz_sidecar.fastpath.raw_responses import RawResponse
from authz_sidecar.server.protocol import HardenedHttpProtocol, Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from authz_sidecar.background_tasks import BackgroundTasks
    from authz_sidecar.fastpath.response_cache import PendingLookup
    from authz_sidecar.server.limits import ErrorResponse

    class FastPath(Protocol):
        """What the protocol uses of `fastpath.service.FastPath`."""

        def try_respond(self, data: bytes) -> RawResponse | PendingLookup | None:
            """Return the response to a complete request, a pending lookup, or None for ASGI."""

        async def complete_lookup(self, lookup: PendingLookup) -> RawResponse | None:
            """Return the response after a session lookup, or None for ASGI."""

        @property
        def is_trusted(self) -> Callable[[Mapping[str, Any]], bool]:
            """The predicate that says whether the peer of an ASGI scope may send checks."""


class FastPathProtocol(HardenedHttpProtocol):
    """One connection of the check listener.

    `fast_path`: returns the fast path of the current configuration; None while there is none.
    `acquire_generation`: keeps the current configuration open; returns the function that releases
      it.
    `background`: the owner of the tasks that wait for the session store.
    """

    def __init__(
        self,
        *arguments: Any,
        fast_path: Callable[[], FastPath | None],
        acquire_generation: Callable[[], Callable[[], None]],
        background: BackgroundTasks,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._current_fast_path = fast_path
        self._acquire_generation = acquire_generation
        self._background = background
        self._lookup_pending = False
        self._fast_path: FastPath | None = None
        self._trusted = False
        self._ready = False
        self._last_response_at = 0.0
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._heads: dict[int, bytes] = {}

    def data_received(self, data: bytes) -> None:
        """Respond by the fast path where it can, and otherwise parse the bytes."""
        if (self._ready and not self.transport.is_closing()) or self._check_ready():
            fast_path = self._current_fast_path()
            if fast_path is not self._fast_path:
                self._fast_path = fast_path
                self._trusted = fast_path is not None and self._is_trusted_peer(fast_path)
            if (
                fast_path is not None
                and self._trusted
                and (response := fast_path.try_respond(data)) is not None
            ):
                if isinstance(response, RawResponse):
                    self._write_response(response)
                else:
                    self._start_lookup(fast_path, response, data)
                return
        self._ready = False
        super().data_received(data)

    def _check_ready(self) -> bool:
        """Whether no request is under way and a response is written at once.

        The result stays true until the transport closes, one of `pause_writing`, `shutdown` and
        `_refuse` is called, or a request falls through to ASGI.
        """
        cycle = self.cycle
        self._ready = (
            self._phase is Phase.IDLE
            and (cycle is None or (cycle.response_complete and not self.pipeline))
            and self._error_response is None
            and not self._draining
            and not self.flow.write_paused
            and not self.flow.read_paused
            and not self.transport.is_closing()
        )
        return self._ready

    def _start_lookup(self, fast_path: FastPath, lookup: PendingLookup, data: bytes) -> None:
        """Look the session up in a task.

        Meanwhile nothing is read and no deadline runs: the lookup has a timeout of its own.
        """
        self._ready = False
        self._lookup_pending = True
        self._unset_keepalive_if_required()
        self._cancel_deadline()
        self.flow.pause_reading()
        task = self._background.start(
            self._finish(fast_path, lookup, data, self._acquire_generation()), name="check"
        )
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _finish(
        self, fast_path: FastPath, lookup: PendingLookup, data: bytes, release: Callable[[], None]
    ) -> None:
        try:
            response = await fast_path.complete_lookup(lookup)
        except BaseException:
            # A connection whose reading is paused would hang until its client gives up.
            self.transport.close()
            raise
        finally:
            self._lookup_pending = False
            release()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if response is None:
            super().data_received(data)
            return
        self._write_response(response)
        if self._draining:
            self.transport.close()

    def _close_if_idle(self) -> None:
        if not self._lookup_pending:
            super()._close_if_idle()

    def pause_writing(self) -> None:
        """Leave the fast path while the client does not read."""
        self._ready = False
        super().pause_writing()

    def shutdown(self) -> None:
        """Leave the fast path, and close the connection after open requests."""
        self._ready = False
        super().shutdown()

    def _refuse(self, error_response: ErrorResponse, *, linger: bool = True) -> None:
        self._ready = False
        super()._refuse(error_response, linger=linger)

    def _is_trusted_peer(self, fast_path: FastPath) -> bool:
        return fast_path.is_trusted({"client": self.client, "server": self.server})

    def _write_response(self, response: RawResponse) -> None:
        state = self.server_state
        if state.default_headers is not self._default_headers:  # uvicorn renews them every second
            self._default_headers = state.default_headers
            self._heads = {}
        status, rest, keep_alive = response
        head = self._heads.get(status) or self._build_head(status)
        self.transport.write(head + rest)
        state.total_requests += 1
        if self._deadline is not None:
            self._cancel_deadline()
        if not keep_alive:
            self.transport.close()
            return
        self._last_response_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._start_keep_alive_timer(self.timeout_keep_alive)

    def _build_head(self, status: int) -> bytes:
        lines = [name + b": " + value + b"\r\n" for name, value in self._default_headers]
        head = self._heads[status] = b"".join((STATUS_LINE[status], *lines))
        return head

    def _start_keep_alive_timer(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection when it has been idle for the keep-alive timeout."""
        # A timer per response would cost as much as the response: this one is restarted instead.
        remaining = self._last_response_at + self.timeout_keep_alive - self.loop.time()
        if remaining > 0:
            self._start_keep_alive_timer(remaining)
        else:
            super().timeout_keep_alive_handler()
