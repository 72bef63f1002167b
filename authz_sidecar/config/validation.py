"""Whether data has the shape of a configuration: the configuration, or what is wrong, bounded.

A mistake may be made once and copied a hundred thousand times. Nobody reads more than the first
thousand, and collecting them all would take the memory of a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from authz_sidecar.config.schema import Config, Routes

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from authz_sidecar.config.schema import RouteConfig

MOST_PROBLEMS = 1000
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Understood:
    """`config` is None when there are `details`; these are not `complete` when there are more."""

    config: Config | None
    details: list[ErrorDetails]
    complete: bool = True


def understand(data: object) -> Understood:
    """Routes are read in pieces, so that no more goes wrong at once than can be told."""
    routes = data.get("routes") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(routes, list) or len(routes) <= _AT_ONCE:
        return _whole(data)
    rest = _whole({**data, "routes": []})
    adapter: TypeAdapter[tuple[RouteConfig, ...]] = TypeAdapter(Routes)
    found: list[RouteConfig] = []
    details = list(rest.details)
    for start in range(0, len(routes), _AT_ONCE):
        try:
            found += adapter.validate_python(routes[start : start + _AT_ONCE])
        except ValidationError as error:
            details += (_moved(detail, start) for detail in _details(error))
        if len(details) > MOST_PROBLEMS:
            return Understood(config=None, details=details[:MOST_PROBLEMS], complete=False)
    if details or rest.config is None:
        return Understood(config=None, details=details, complete=rest.complete)
    return Understood(config=rest.config.model_copy(update={"routes": tuple(found)}), details=[])


def _whole(data: object) -> Understood:
    try:
        return Understood(config=Config.model_validate(data), details=[])
    except ValidationError as error:
        details = _details(error)
        return Understood(
            config=None,
            details=details[:MOST_PROBLEMS],
            complete=len(details) <= MOST_PROBLEMS,
        )


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=True)


def _moved(detail: Any, by: int) -> Any:
    place, *rest = detail["loc"]
    return {**detail, "loc": ("routes", place + by, *rest)}
