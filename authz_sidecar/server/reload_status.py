"""The state of the configuration over time, as `/status` and the metrics report it.

Decides what is recorded of a reload: which generation is wanted, which one every worker serves
since when, and why the last reload failed. Must not know how a configuration is loaded.
"""

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
    """A reload that failed.

    `failed_at`: seconds since the epoch.
    """

    failed_at: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A configuration that was accepted.

    `loaded_at`: seconds since the epoch.
    `routes`: the number of routes.
    `refused_routes`: names of broken routes, which refuse every request.
    `refused_providers`: names of providers whose sign-in is refused.
    """

    loaded_at: float
    server: Server
    routes: int
    refused_routes: tuple[str, ...]
    refused_providers: tuple[str, ...]
    problems: tuple[str, ...]


class ReloadStatus:
    """The reload state of one server, which begins with the application of its start.

    `generation`: the generation that every worker serves.
    `target_generation`: the newest generation that was accepted.
    """

    def __init__(
        self, first: Application, *, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._last_failure: FailedReload | None = None
        self._pending_since: float | None = None
        self._accepted: dict[int, LoadedConfig] = {}
        self.generation = 0
        self.target_generation = 0
        self.record_accepted(first)
        self._activate(self.target_generation)
        self._initial_server = self._current.server

    def record_request(self) -> None:
        """Record that a reload is requested."""
        if self._pending_since is None:
            self._pending_since = self._clock()

    def record_all_decided(self) -> None:
        """Record that every requested reload was accepted or has failed."""
        self._pending_since = None

    def record_accepted(self, application: Application) -> int:
        """Record a configuration as the target, and return its generation."""
        self.target_generation += 1
        self._last_failure = None
        self._accepted[self.target_generation] = LoadedConfig(
            loaded_at=self._clock(),
            server=application.config.server,
            routes=application.route_count,
            refused_routes=application.refused_routes,
            refused_providers=tuple(application.missing_callbacks),
            problems=tuple(
                map(str, (*application.problems, *application.missing_callbacks.values()))
            ),
        )
        self._metrics.set_target_generation(generation=self.target_generation)
        return self.target_generation

    def record_active(self, generation: int) -> None:
        """Record that every worker serves this generation or a newer one, and log it."""
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
        """Record and log a configuration that cannot be used."""
        errors = error.problems if isinstance(error, ConfigError) else (error,)
        self._fail(tuple(map(str, errors)))
        for problem in errors:
            logger.error("%s", problem)
        logger.error(
            "the configuration cannot be used, generation %d stays", self.target_generation
        )

    def record_load_failure(self, error: Exception, *, retry_seconds: float) -> None:
        """Record and log that loading failed for a reason outside of the configuration.

        `retry_seconds`: the pause before the next attempt.
        """
        self._fail((f"{type(error).__name__}: {error}",))
        logger.error(
            "the configuration could not be loaded, trying again in %g s, generation %d stays",
            retry_seconds,
            self.generation,
            exc_info=error,
        )

    def status(self) -> dict[str, Any]:
        """Return the state in the JSON form of `/status`."""
        return {
            "version": __version__,
            "python": platform.python_version(),
            "generation": self.generation,
            "generation_wanted": self.target_generation,
            "loaded_at": _isoformat(self._current.loaded_at),
            "reload_pending_since": self._pending_since and _isoformat(self._pending_since),
            "last_reload_error": self._last_error_json(),
            "needs_restart": list(self._settings_needing_restart()),
            "routes": self._current.routes,
            "routes_refused": list(self._current.refused_routes),
            "providers_refused": list(self._current.refused_providers),
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
            loaded_at=self._current.loaded_at,
            routes=self._current.routes,
            refused_routes=len(self._current.refused_routes),
        )

    def _fail(self, problems: tuple[str, ...]) -> None:
        self._last_failure = FailedReload(failed_at=self._clock(), problems=problems)
        self._metrics.set_reload_failed()

    def _settings_needing_restart(self) -> tuple[str, ...]:
        current, initial = self._current.server, self._initial_server
        return tuple(
            f"server.{name}"
            for name in _NEEDS_RESTART
            if getattr(current, name) != getattr(initial, name)
        )

    def _last_error_json(self) -> dict[str, Any] | None:
        if self._last_failure is None:
            return None
        return {
            "at": _isoformat(self._last_failure.failed_at),
            "problems": list(self._last_failure.problems),
        }


def _isoformat(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
