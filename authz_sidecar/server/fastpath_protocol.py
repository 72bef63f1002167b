"""The check listener's protocol: asks the lane about a question that came whole and alone, writes
what it says, at once or after a look into the store, and otherwise is the protocol that it extends.

Decides when a connection is in a state in which an answer may be written at once. Must not know what
is asked. What it leans on in uvicorn is pinned by `tests/server/test_fastpath_contract.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from authz_sidecar.fastpath.raw_responses import Written
from authz_sidecar.server.httptools import LimitedProtocol
from authz_sidecar.server.protocol import Phase

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from authz_sidecar.background_tasks import BackgroundTasks
    from authz_sidecar.fastpath.response_cache import Sought
    from authz_sidecar.server.limits import Refusal

    class Lane(Protocol):
        def reply(self, data: bytes) -> Written | Sought | None: ...
        async def find(self, sought: Sought) -> Written | None: ...
        @property
        def trusts(self) -> Callable[[Mapping[str, Any]], bool]: ...


class LaneProtocol(LimitedProtocol):
    """`lane` gives the one of the configuration that answers now; None while there is none. `hold`
    keeps that configuration in use until what it gives is called. `background` watches over the
    answers that wait for the store."""

    def __init__(
        self,
        *arguments: Any,
        lane: Callable[[], Lane | None],
        hold: Callable[[], Callable[[], None]],
        background: BackgroundTasks,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._current = lane
        self._hold = hold
        self._background = background
        self._waiting = False
        self._lane: Lane | None = None
        self._trusted = False
        self._undisturbed = False
        self._answered_at = 0.0
        self._defaults: list[tuple[bytes, bytes]] = []
        self._begin: dict[int, bytes] = {}

    def data_received(self, data: bytes) -> None:
        if (self._undisturbed and not self.transport.is_closing()) or self._is_free():
            lane = self._current()
            if lane is not self._lane:
                self._lane = lane
                self._trusted = lane is not None and self._trusts(lane)
            if lane is not None and self._trusted and (said := lane.reply(data)) is not None:
                if isinstance(said, Written):
                    self._write(said)
                else:
                    self._wait(lane, said, data)
                return
        self._undisturbed = False
        super().data_received(data)

    def _is_free(self) -> bool:
        """Nothing of an earlier question is under way, and what is written leaves at once. Once
        that is so, it stays so until the transport closes, one of the three methods below is called
        or a question is left to the protocol that this one extends."""
        cycle = self.cycle
        self._undisturbed = (
            self._phase is Phase.IDLE
            and (cycle is None or (cycle.response_complete and not self.pipeline))
            and self._refusal is None
            and not self._draining
            and not self.flow.write_paused
            and not self.flow.read_paused
            and not self.transport.is_closing()
        )
        return self._undisturbed

    def _wait(self, lane: Lane, sought: Sought, data: bytes) -> None:
        """Meanwhile nothing is read and no clock runs: the look into the store is bounded."""
        self._undisturbed = False
        self._waiting = True
        self._unset_keepalive_if_required()
        self._disarm()
        self.flow.pause_reading()
        task = self._background.start(self._go_on(lane, sought, data, self._hold()), name="check")
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _go_on(
        self, lane: Lane, sought: Sought, data: bytes, let_go: Callable[[], None]
    ) -> None:
        try:
            written = await lane.find(sought)
        except BaseException:
            # A connection that is read no more would hang until its client gives up.
            self.transport.close()
            raise
        finally:
            self._waiting = False
            let_go()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if written is None:
            super().data_received(data)
            return
        self._write(written)
        if self._draining:
            self.transport.close()

    def _close_if_idle(self) -> None:
        if not self._waiting:
            super()._close_if_idle()

    def pause_writing(self) -> None:
        self._undisturbed = False
        super().pause_writing()

    def shutdown(self) -> None:
        self._undisturbed = False
        super().shutdown()

    def _refuse(self, refusal: Refusal, *, linger: bool = True) -> None:
        self._undisturbed = False
        super()._refuse(refusal, linger=linger)

    def _trusts(self, lane: Lane) -> bool:
        return lane.trusts({"client": self.client, "server": self.server})

    def _write(self, written: Written) -> None:
        state = self.server_state
        if state.default_headers is not self._defaults:  # uvicorn makes them anew each second
            self._defaults = state.default_headers
            self._begin = {}
        status, rest, kept = written
        begin = self._begin.get(status) or self._begun(status)
        self.transport.write(begin + rest)
        state.total_requests += 1
        if self._deadline is not None:
            self._disarm()
        if not kept:
            self.transport.close()
            return
        self._answered_at = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_more(self.timeout_keep_alive)

    def _begun(self, status: int) -> bytes:
        lines = [name + b": " + value + b"\r\n" for name, value in self._defaults]
        begin = self._begin[status] = b"".join((STATUS_LINE[status], *lines))
        return begin

    def _wait_for_more(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        # A timer for each answer would cost as much as the answer: this one is set again instead.
        left = self._answered_at + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_for_more(left)
        else:
            super().timeout_keep_alive_handler()
