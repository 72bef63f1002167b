"""What a process knows of its configuration over time: which generation is wanted, which one
answers, since when, and why the last attempt to replace it failed."""

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
    from authz_sidecar.config.schema.server import Server
    from authz_sidecar.errors import StartupError
    from authz_sidecar.observe.metrics import Metrics

logger = logging.getLogger(__name__)

_NEEDS_RESTART = ("listen", "web_listen", "ops_listen", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedReload:
    failed_at: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """What is said of a configuration that was judged to be usable."""

    at: float
    server: Server
    routes: int
    refused: tuple[str, ...]
    providers_refused: tuple[str, ...]
    problems: tuple[str, ...]


class ReloadStatus:
    """Begins with the application that the server is started with."""

    def __init__(
        self, first: Application, *, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._failed: FailedReload | None = None
        self._pending_since: float | None = None
        self._accepted: dict[int, LoadedConfig] = {}
        self.generation = 0
        """The one that every worker answers by."""
        self.target_generation = 0
        self.record_accepted(first)
        self._activate(self.target_generation)
        self._started_with = self._current.server

    def requested(self) -> None:
        """A reload was asked for."""
        if self._pending_since is None:
            self._pending_since = self._clock()

    def judged(self) -> None:
        """Every reload that was asked for has been decided on."""
        self._pending_since = None

    def record_accepted(self, application: Application) -> int:
        """A configuration is usable and wanted from now on; its generation."""
        self.target_generation += 1
        self._failed = None
        self._accepted[self.target_generation] = LoadedConfig(
            at=self._clock(),
            server=application.config.server,
            routes=application.route_count,
            refused=application.refused_routes,
            providers_refused=tuple(application.unstated),
            problems=tuple(map(str, (*application.problems, *application.unstated.values()))),
        )
        self._metrics.set_target_generation(generation=self.target_generation)
        return self.target_generation

    def record_active(self, generation: int) -> None:
        """Every worker answers by this generation, or by a newer one."""
        if generation <= self.generation:
            return
        self._activate(generation)
        logger.info(
            "configuration reloaded",
            extra=fields(generation=generation, routes=self._current.routes),
        )
        for setting in self._settings_needing_restart():
            logger.warning("`%s` has changed, which takes effect at the next start", setting)

    def record_failure(self, error: ConfigError | StartupError) -> None:
        errors = error.problems if isinstance(error, ConfigError) else (error,)
        self._fail(tuple(map(str, errors)))
        for problem in errors:
            logger.error("%s", problem)
        logger.error(
            "the configuration cannot be used, generation %d stays", self.target_generation
        )

    def record_load_failure(self, error: Exception, *, again_seconds: float) -> None:
        """Nobody knows whether the configuration can be used."""
        self._fail((f"{type(error).__name__}: {error}",))
        logger.error(
            "the configuration could not be loaded, trying again in %g s, generation %d stays",
            again_seconds,
            self.generation,
            exc_info=error,
        )

    def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "python": platform.python_version(),
            "generation": self.generation,
            "generation_wanted": self.target_generation,
            "loaded_at": _isoformat(self._current.at),
            "reload_pending_since": self._pending_since and _isoformat(self._pending_since),
            "last_reload_error": self._failure(),
            "needs_restart": list(self._settings_needing_restart()),
            "routes": self._current.routes,
            "routes_refused": list(self._current.refused),
            "providers_refused": list(self._current.providers_refused),
            "problems": list(self._current.problems),
        }

    def _activate(self, generation: int) -> None:
        self.generation = generation
        self._current = self._accepted[generation]
        self._accepted = {
            number: loaded for number, loaded in self._accepted.items() if number > generation
        }
        self._metrics.set_loaded(
            generation=generation,
            loaded_at=self._current.at,
            routes=self._current.routes,
            refused_routes=len(self._current.refused),
        )

    def _fail(self, problems: tuple[str, ...]) -> None:
        self._failed = FailedReload(failed_at=self._clock(), problems=problems)
        self._metrics.set_reload_failed()

    def _settings_needing_restart(self) -> tuple[str, ...]:
        now, then = self._current.server, self._started_with
        return tuple(
            f"server.{name}" for name in _NEEDS_RESTART if getattr(now, name) != getattr(then, name)
        )

    def _failure(self) -> dict[str, Any] | None:
        if self._failed is None:
            return None
        return {"at": _isoformat(self._failed.failed_at), "problems": list(self._failed.problems)}


def _isoformat(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
