"""Recovers what can still be checked of a configuration that the schema refused, so that one
mistake hides no other. The result is never served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from authz_sidecar.config.messages import KEY_STEP
from authz_sidecar.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic_core import ErrorDetails

    from authz_sidecar.core.source_locations import PathStep

_MAX_ATTEMPTS = 3

_REMOVED = object()

_PLACEHOLDER_SECRET = "stands in for 0123456789abcdefghi"  # noqa: S105 -- never used
_PLACEHOLDER_PROVIDER = {
    "issuer": "https://unread.invalid",
    "client_id": "unread",
    "callback": "own",
}


def recover_config(data: object, details: Iterable[ErrorDetails]) -> Config | None:
    """Return a configuration without the values that `details` name, with placeholders where a
    value is required; None when that is impossible."""
    candidate: dict[str, Any] = dict(data) if isinstance(data, dict) else {}
    for _ in range(_MAX_ATTEMPTS):
        for detail in sorted(details, key=lambda error: len(error["loc"])):
            _mark_removed(candidate, detail["loc"])
        candidate = _with_placeholders(candidate)
        try:
            return Config.model_validate(candidate)
        except ValidationError as error:
            details = error.errors(include_url=False)
    return None


def _mark_removed(container: Any, path: tuple[PathStep, ...]) -> None:
    """Mark the value at `path` as removed, copying the containers on the way. A map that lacks a
    required key is removed as a whole."""
    step, remaining = path[0], path[1:]
    if not _contains(container, step):
        return
    if remaining == (KEY_STEP,):
        del container[step]
        return
    inner = container[step]
    missing = len(remaining) == 1 and isinstance(inner, dict) and not _contains(inner, remaining[0])
    if missing and step == "sessions":
        return
    if not remaining or missing or not isinstance(inner, dict | list):
        container[step] = _REMOVED
        return
    container[step] = inner.copy()
    _mark_removed(container[step], remaining)


def _contains(container: Any, step: PathStep) -> bool:
    if isinstance(container, dict):
        return step in container
    return isinstance(step, int) and step < len(container)


def _with_placeholders(data: dict[str, Any]) -> dict[str, Any]:
    # Problems found later name a route by its index in the list, so none may move; and naming a
    # provider that is there, though broken, is no mistake.
    if isinstance(routes := data.get("routes"), list):
        routes = [
            _placeholder_route(index) if route is _REMOVED else route
            for index, route in enumerate(routes)
        ]
        data = {**data, "routes": routes}
    if isinstance(providers := data.get("identity_providers"), dict):
        providers = {
            name: _PLACEHOLDER_PROVIDER if provider is _REMOVED else provider
            for name, provider in providers.items()
        }
        data = {**data, "identity_providers": providers}
    data = _without_removed(data)
    if not data.get("secret_keys"):
        data["secret_keys"] = [_PLACEHOLDER_SECRET]
    data["sessions"] = {"store": "memory://", **data.get("sessions", {})}
    return data


def _placeholder_route(index: int) -> dict[str, object]:
    return {"from": f"https://unread-{index}.invalid", "allow_public_unauthenticated_access": True}


def _without_removed(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_removed(entry) for key, entry in value.items() if entry is not _REMOVED
        }
    if isinstance(value, list):
        return [_without_removed(item) for item in value if item is not _REMOVED]
    return value
