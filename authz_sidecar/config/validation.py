"""Validates data against the schema, with a bounded number of errors.

A mistake may be made once and copied a hundred thousand times. Nobody reads more than the first
thousand, and collecting them all would exhaust the memory of a machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from authz_sidecar.config.schema import Config, RouteConfigs

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from authz_sidecar.config.schema import RouteConfig

MAX_PROBLEMS = 1000
_ROUTES_PER_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationResult:
    """The result of a validation.

    `config`: the configuration; None when there are errors.
    `details`: the errors, as pydantic describes them.
    `complete`: whether `details` are all errors; at most `MAX_PROBLEMS` are kept.
    """

    config: Config | None
    details: list[ErrorDetails]
    complete: bool = True


def validate_config(data: object) -> ValidationResult:
    """Return the validated configuration, or its errors. Routes are validated in batches, so that
    the number of errors in memory stays bounded."""
    routes = data.get("routes") if isinstance(data, dict) else None
    if (
        not isinstance(data, dict)
        or not isinstance(routes, list)
        or len(routes) <= _ROUTES_PER_BATCH
    ):
        return _validate_at_once(data)
    without_routes = _validate_at_once({**data, "routes": []})
    adapter: TypeAdapter[tuple[RouteConfig, ...]] = TypeAdapter(RouteConfigs)
    valid_routes: list[RouteConfig] = []
    details = list(without_routes.details)
    for start in range(0, len(routes), _ROUTES_PER_BATCH):
        try:
            valid_routes += adapter.validate_python(routes[start : start + _ROUTES_PER_BATCH])
        except ValidationError as error:
            details += (_shift_route_index(detail, start) for detail in _details(error))
        if len(details) > MAX_PROBLEMS:
            return ValidationResult(config=None, details=details[:MAX_PROBLEMS], complete=False)
    if details or without_routes.config is None:
        return ValidationResult(config=None, details=details, complete=without_routes.complete)
    return ValidationResult(
        config=without_routes.config.model_copy(update={"routes": tuple(valid_routes)}), details=[]
    )


def _validate_at_once(data: object) -> ValidationResult:
    try:
        return ValidationResult(config=Config.model_validate(data), details=[])
    except ValidationError as error:
        details = _details(error)
        return ValidationResult(
            config=None,
            details=details[:MAX_PROBLEMS],
            complete=len(details) <= MAX_PROBLEMS,
        )


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False, include_input=True)


def _shift_route_index(detail: Any, offset: int) -> Any:
    index, *rest = detail["loc"]
    return {**detail, "loc": ("routes", index + offset, *rest)}
