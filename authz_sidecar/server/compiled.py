"""The two compiled libraries that a platform may have no wheel of, httptools and uvloop: what takes
their place where they are missing, and what is said about it."""

from __future__ import annotations

import asyncio
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from authz_sidecar.background_tasks import BackgroundTasks
    from authz_sidecar.server.fastpath_protocol import FastPath
    from authz_sidecar.server.protocol import HardenedHttpProtocol


def limited_protocol() -> Callable[..., HardenedHttpProtocol]:
    """That of any listener."""
    if _installed("httptools"):
        from authz_sidecar.server.httptools import LimitedProtocol  # noqa: PLC0415

        return LimitedProtocol
    from authz_sidecar.server.h11 import LimitedProtocol as Slower  # noqa: PLC0415

    return Slower


def check_protocol(
    *,
    lane: Callable[[], FastPath | None],
    hold: Callable[[], Callable[[], None]],
    background: BackgroundTasks,
) -> Callable[..., HardenedHttpProtocol]:
    """That of the check listener. The lane reads what httptools has read, and is nothing without."""
    if not _installed("httptools"):
        return limited_protocol()
    from authz_sidecar.server.fastpath_protocol import FastPathProtocol  # noqa: PLC0415

    return partial(FastPathProtocol, fast_path=lane, acquire_generation=hold, background=background)


def new_event_loop() -> asyncio.AbstractEventLoop:
    if _installed("uvloop"):
        import uvloop  # noqa: PLC0415

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def missing() -> Iterator[str]:
    """What to say at the start, once."""
    if not _installed("httptools"):
        yield (
            "httptools is not installed: checks are answered by the framework, behind a parser"
            " written in Python, about 30 times slower than with it; `pip install httptools`,"
            " which may need a compiler"
        )
    if not _installed("uvloop"):
        yield (
            "uvloop is not installed: the event loop is Python's own, which is slower;"
            " `pip install uvloop`, which may need a compiler"
        )


def _installed(library: str) -> bool:
    try:
        import_module(library)
    except ModuleNotFoundError as error:
        # `httptools.parser.parser`, where the compiled part alone is missing.
        if (error.name or "").partition(".")[0] != library:
            raise
        return False
    return True
