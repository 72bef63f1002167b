"""What a process knows of its configuration over time: which generation answers, since when, and
why the last attempt to replace it failed."""

from __future__ import annotations

import logging
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from authz_sidecar import __version__
from authz_sidecar.errors import ConfigError
from authz_sidecar.observe.logging import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_sidecar.app import Application
    from authz_sidecar.errors import StartError
    from authz_sidecar.observe.metrics import Metrics

logger = logging.getLogger(__name__)

_NEEDS_RESTART = ("listen", "web_listen", "ops_listen", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReload:
    at: float
    problems: tuple[str, ...]


class History:
    """Begins with the application that the server is started with."""

    def __init__(
        self, first: Application, *, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._started_with = first.config.server
        self._current = first
        self._generation = 0
        self._loaded_at = 0.0
        self._failed: FailedReload | None = None
        self._take(first)

    def reloaded(self, application: Application) -> None:
        self._take(application)
        logger.info(
            "configuration reloaded",
            extra=fields(generation=self._generation, routes=application.route_count),
        )
        for setting in self._needing_restart():
            logger.warning("`%s` has changed, which takes effect at the next start", setting)

    def failed(self, error: ConfigError | StartError) -> None:
        found = error.problems if isinstance(error, ConfigError) else (error,)
        problems = tuple(map(str, found))
        self._failed = FailedReload(at=self._clock(), problems=problems)
        self._metrics.reload_failed()
        for problem in problems:
            logger.error("%s", problem)
        logger.error("the configuration cannot be used, generation %d stays", self._generation)

    def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "python": platform.python_version(),
            "generation": self._generation,
            "loaded_at": _written(self._loaded_at),
            "last_reload_error": self._failure(),
            "needs_restart": list(self._needing_restart()),
            "routes": self._current.route_count,
            "routes_refused": list(self._current.refused),
            "providers_refused": list(self._current.unstated),
            "problems": list(map(str, (*self._current.problems, *self._current.unstated.values()))),
        }

    def _take(self, application: Application) -> None:
        self._current = application
        self._generation += 1
        self._loaded_at = self._clock()
        self._failed = None
        self._metrics.loaded(
            generation=self._generation,
            at=self._loaded_at,
            routes=application.route_count,
            refused=len(application.refused),
        )

    def _needing_restart(self) -> tuple[str, ...]:
        now, then = self._current.config.server, self._started_with
        return tuple(
            f"server.{name}" for name in _NEEDS_RESTART if getattr(now, name) != getattr(then, name)
        )

    def _failure(self) -> dict[str, Any] | None:
        if self._failed is None:
            return None
        return {"at": _written(self._failed.at), "problems": list(self._failed.problems)}


def _written(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
