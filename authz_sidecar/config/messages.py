"""Says in plain words, and with places, what the schema found wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from authz_sidecar.config.schema import Config
from authz_sidecar.provider_presets import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic_core import ErrorDetails

    from authz_sidecar.config.document import Document
    from authz_sidecar.core.source_locations import Step
    from authz_sidecar.errors import Problem

KEY = "[key]"
"""pydantic's last step when the key of a map is wrong, not its value."""

_HINTS: dict[tuple[Step, ...], str] = {
    ("secret_keys",): ": a list of secrets, `authz-sidecar keys new` makes one",
    ("sessions",): ", with a `store` such as `redis://127.0.0.1:6379/0`",
    ("sessions", "store"): ", such as `redis://127.0.0.1:6379/0`",
}

_PLAIN = {
    "too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "model_type": "must be a map of keys and values",
    "dict_type": "must be a map of keys and values",
}


def problems_of(details: Sequence[ErrorDetails], document: Document) -> Iterator[Problem]:
    positions = document.positions
    for detail in details:
        path = detail["loc"]
        if detail["type"] == "too_short" and any(_is_below(it["loc"], path) for it in details):
            continue  # it has elements, only none that is sound
        if path[-1:] == (KEY,):
            yield positions.key_problem(_message(detail), *path[:-1])
        elif detail["type"] == "extra_forbidden":
            yield positions.key_problem(_unknown(path), *path)
        elif not any(path[: len(known)] == known for known in document.broken):
            yield positions.problem(_message(detail), *path)


def _is_below(path: tuple[Step, ...], other: tuple[Step, ...]) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def _message(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return f"is required{_HINTS.get(detail['loc'], '') or _issuer_hint(detail)}"
    if kind == "literal_error":
        return _choice(detail["input"], str(context["expected"]))
    plain = _PLAIN.get(kind, detail["msg"][:1].lower() + detail["msg"][1:])
    return plain.format_map(context)


def _issuer_hint(detail: ErrorDetails) -> str:
    given = detail["input"]
    if detail["loc"][-1] != "issuer" or not isinstance(given, dict):
        return ""
    kind = KINDS.get(str(given.get("type")))
    return "" if kind is None else f" for `{kind.name}`, such as `{kind.example}`"


def _choice(given: object, expected: str) -> str:
    choices = expected.replace("'", "`").replace(" or ", ", ").split(", ")
    said = f"must be {expected.replace(chr(39), '`')}"
    if not isinstance(given, str):
        return said
    return f"{said}, not `{given}`{meant(given, [choice.strip('`') for choice in choices])}"


def _unknown(path: tuple[Step, ...]) -> str:
    key = str(path[-1])
    model = _model_at(path[:-1])
    names = [] if model is None else _names(model)
    return f"there is no such key{meant(key, names)}"


def meant(given: str, names: list[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - most have no mistake

    close = get_close_matches(given, names, n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _names(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(path: tuple[Step, ...]) -> type[BaseModel] | None:
    """The model that describes the map at `path`."""
    model: type[BaseModel] | None = Config
    for step in path:
        if model is None:
            return None
        if not isinstance(step, str) or step not in _names(model):
            continue  # an index of a list, a key of a map: the model stays that of its elements
        field = next(f for name, f in model.model_fields.items() if (f.alias or name) == step)
        model = _model_in(field.annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(argument) for argument in get_args(annotation))
    return next((model for model in found if model is not None), None)
