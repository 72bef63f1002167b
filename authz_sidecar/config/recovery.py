"""What can still be examined of a configuration that the schema refused, so that one mistake hides
no other. Nothing is ever served from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from authz_sidecar.config.messages import KEY
from authz_sidecar.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

    from authz_sidecar.core.source_locations import Step

_ROUNDS = 3

_GONE = object()

_SECRET = "stands in for 0123456789abcdefghi"  # noqa: S105 -- never used
_PROVIDER = {"issuer": "https://unread.invalid", "client_id": "unread", "callback": "own"}


def salvaged(data: object, details: Iterable[ErrorDetails]) -> Config | None:
    """A configuration in which everything that `details` name has been left out or stood in for."""
    sound: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
    for _ in range(_ROUNDS):
        for detail in sorted(details, key=lambda found: len(found["loc"])):
            _leave_out(sound, detail["loc"])
        sound = _completed(sound)
        try:
            return Config.model_validate(sound)
        except ValidationError as error:
            details = error.errors(include_url=False)
    return None


def _leave_out(container: Any, path: tuple[Step, ...]) -> None:
    """Mark what stands at `path` as gone, copying the containers on the way there. Of a map in
    which a required key is missing nothing can be made, so the map itself is gone."""
    step, rest = path[0], path[1:]
    if not _holds(container, step):
        return
    if rest == (KEY,):
        del container[step]
        return
    inner = container[step]
    missing = len(rest) == 1 and isinstance(inner, dict) and not _holds(inner, rest[0])
    if missing and step == "sessions":
        return
    if not rest or missing or not isinstance(inner, dict | list):
        container[step] = _GONE
        return
    container[step] = inner.copy()
    _leave_out(container[step], rest)


def _holds(container: Any, step: Step) -> bool:
    if isinstance(container, dict):
        return step in container
    return isinstance(step, int) and step < len(container)


def _completed(data: dict[str, Any]) -> dict[str, Any]:
    # Problems found later name a route by its place in the list, so none may move; and whoever
    # names a provider that is there, though broken, has made no mistake.
    if isinstance(routes := data.get("routes"), list):
        routes = [_route(at) if route is _GONE else route for at, route in enumerate(routes)]
        data = {**data, "routes": routes}
    if isinstance(providers := data.get("identity_providers"), dict):
        providers = {name: _PROVIDER if it is _GONE else it for name, it in providers.items()}
        data = {**data, "identity_providers": providers}
    data = _closed(data)
    if not data.get("secret_keys"):
        data["secret_keys"] = [_SECRET]
    data["sessions"] = {"store": "memory://", **data.get("sessions", {})}
    return data


def _route(at: int) -> dict[str, object]:
    return {"from": f"https://unread-{at}.invalid", "allow_public_unauthenticated_access": True}


def _closed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _closed(entry) for key, entry in value.items() if entry is not _GONE}
    if isinstance(value, list):
        return [_closed(item) for item in value if item is not _GONE]
    return value
