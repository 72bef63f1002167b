"""Turns pydantic's validation errors into problems in plain English, with source locations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from authz_sidecar.config.schema import Config
from authz_sidecar.provider_presets import PROVIDER_PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

    from authz_sidecar.config.document import Document
    from authz_sidecar.core.source_locations import PathStep
    from authz_sidecar.errors import Problem

KEY_STEP = "[key]"
"""pydantic's last step when the key of a map is wrong, not its value."""

_HINTS: dict[tuple[PathStep, ...], str] = {
    ("secret_keys",): ": a list of secrets (`authz-sidecar keys new` makes one)",
    ("sessions",): ", with a `store` such as `redis://127.0.0.1:6379/0`",
    ("sessions", "store"): ", such as `redis://127.0.0.1:6379/0`",
}

_TEMPLATES = {
    "too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be a map of keys and values",
    "dict_type": "must be a map of keys and values",
}


def to_problems(details: Sequence[ErrorDetails], document: Document) -> Iterator[Problem]:
    """Return the problems for pydantic's `details`, without those about unreadable values."""
    source_map = document.source_map
    for detail in details:
        path = detail["loc"]
        if detail["type"] == "too_short" and any(
            _is_below(other["loc"], path) for other in details
        ):
            continue  # it has elements, only none that is sound
        if path[-1:] == (KEY_STEP,):
            yield source_map.key_problem(_message(detail), *path[:-1])
        elif detail["type"] == "extra_forbidden":
            yield source_map.key_problem(_unknown_key_message(path), *path)
        elif not any(
            path[: len(unreadable_path)] == unreadable_path
            for unreadable_path in document.unreadable_paths
        ):
            yield source_map.problem(_message(detail), *path)


def _is_below(path: tuple[PathStep, ...], other: tuple[PathStep, ...]) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _message(detail: ErrorDetails) -> str:
    error_type, context = detail["type"], detail.get("ctx", {})
    if error_type == "value_error":
        return str(context["error"])
    if error_type == "missing":
        return f"is required{_HINTS.get(detail['loc'], '') or _issuer_hint(detail)}"
    if error_type == "literal_error":
        return _choice_message(detail["input"], str(context["expected"]))
    template = _TEMPLATES.get(error_type, detail["msg"][:1].lower() + detail["msg"][1:])
    return template.format_map(context)


def _issuer_hint(detail: ErrorDetails) -> str:
    settings = detail["input"]
    if detail["loc"][-1] != "issuer" or not isinstance(settings, dict):
        return ""
    preset = PROVIDER_PRESETS.get(str(settings.get("type")))
    return "" if preset is None else f" for `{preset.name}`, such as `{preset.example}`"


def _choice_message(value: object, expected: str) -> str:
    choices = expected.replace("'", "`").replace(" or ", ", ").split(", ")
    message = f"must be {expected.replace(chr(39), '`')}"
    if not isinstance(value, str):
        return message
    return (
        f"{message}, not `{value}`{suggest_name(value, [choice.strip('`') for choice in choices])}"
    )


def _unknown_key_message(path: tuple[PathStep, ...]) -> str:
    key = str(path[-1])
    model = _model_at(path[:-1])
    names = [] if model is None else _field_names(model)
    return f"there is no such key{suggest_name(key, names)}"


def suggest_name(given: str, names: list[str]) -> str:
    """Return ` (did you mean …?)` with the closest of `names`, or an empty text."""
    from difflib import get_close_matches  # noqa: PLC0415 - most have no mistake

    close = get_close_matches(given, names, n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _field_names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(path: tuple[PathStep, ...]) -> type[BaseModel] | None:
    """The model that describes the map at `path`."""
    model: type[BaseModel] | None = Config
    for step in path:
        if model is None:
            return None
        if not isinstance(step, str) or step not in _field_names(model):
            continue  # an index of a list, a key of a map: the model stays that of its elements
        field = next(f for name, f in model.model_fields.items() if (f.alias or name) == step)
        model = _model_in(field.annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    models = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in models if model is not None), None)
