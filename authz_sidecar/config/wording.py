"""Says in plain words, and with places, what the schema found wrong; and keeps what was right, so
that one mistake hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from authz_sidecar.config.document import Document
from authz_sidecar.config.schema import Config
from authz_sidecar.core.positions import Step
from authz_sidecar.errors import Problem

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_KEY = "[key]"
"""pydantic's last step when the key of a map is wrong, not its value."""

_HINTS: dict[tuple[Step, ...], str] = {
    ("secret_keys",): ": a list of secrets, `authz-sidecar keys new` makes one",
    ("sessions",): ", with a `store` such as `redis://127.0.0.1:6379/0`",
    ("sessions", "store"): ", such as `redis://127.0.0.1:6379/0`",
}

_ROUNDS = 3

STANDING_IN: dict[str, object] = {
    "secret_keys": ["-" * 32],
    "sessions": {"store": "memory://"},
}
"""What a configuration is examined with while its own is missing or wrong."""


def problems_of(error: ValidationError, document: Document) -> Iterator[Problem]:
    positions = document.positions
    for detail in error.errors(include_url=False, include_input=True):
        path = detail["loc"]
        if path[-1:] == (_KEY,):
            yield positions.key_problem(_message(detail), *path[:-1])
        elif detail["type"] == "extra_forbidden":
            yield positions.key_problem(_unknown(path), *path)
        elif not any(path[: len(known)] == known for known in document.broken):
            yield positions.problem(_message(detail), *path)


def _message(detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    match detail["type"]:
        case "value_error":
            return str(context["error"])
        case "missing":
            return f"is required{_HINTS.get(detail['loc'], '')}"
        case "literal_error":
            return _choice(detail["input"], str(context["expected"]))
        case "too_short":
            return "must not be empty"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "too_long" if detail["loc"] == ("token_issuers",):
            return "bearer tokens are not supported yet"
        case "model_type" | "dict_type":
            return "must be a map of keys and values"
        case _:
            return detail["msg"][:1].lower() + detail["msg"][1:]


def _choice(given: object, expected: str) -> str:
    choices = expected.replace("'", "`").replace(" or ", ", ").split(", ")
    said = f"must be {expected.replace(chr(39), '`')}"
    if not isinstance(given, str):
        return said
    return f"{said}, not `{given}`{_meant(given, [choice.strip('`') for choice in choices])}"


def _unknown(path: tuple[Step, ...]) -> str:
    key = str(path[-1])
    model = _model_at(path[:-1])
    names = [] if model is None else _names(model)
    return f"there is no such key{_meant(key, names)}"


def _meant(given: str, names: list[str]) -> str:
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


def salvaged(data: object, error: ValidationError) -> Config | None:
    """A configuration of all that is not wrong, for further examination only."""
    for _ in range(_ROUNDS):
        if not isinstance(data, dict):
            data = {}
        paths = [_without_key_mark(detail["loc"]) for detail in error.errors(include_url=False)]
        data = _standing_in(_without(data, paths))
        try:
            return Config.model_validate(data)
        except ValidationError as next_error:
            error = next_error
    return None


def _without_key_mark(path: tuple[Step, ...]) -> tuple[Step, ...]:
    return path[:-1] if path[-1:] == (_KEY,) else path


def _standing_in(data: dict[str, object]) -> dict[str, object]:
    for key, value in STANDING_IN.items():
        given = data.get(key)
        if isinstance(given, dict) and isinstance(value, dict):
            data[key] = {**value, **given}
        else:
            data.setdefault(key, value)
    return data


def _route_standing_in(at: int) -> dict[str, object]:
    return {"from": f"https://unread-{at}.invalid", "allow_any_authenticated_user": True}


_GONE = object()


def _without(data: dict[str, object], paths: list[tuple[Step, ...]]) -> dict[str, object]:
    """A copy without the values at `paths`; what a path asks for and is missing takes its map along."""
    result: dict[str, object] = dict(data)
    for path in sorted(paths, key=len):
        _remove(result, path)
    if isinstance(routes := result.get("routes"), list):
        # Problems found later name a route by its place in the list, so none may move.
        result["routes"] = [
            _route_standing_in(at) if route is _GONE else route for at, route in enumerate(routes)
        ]
    return {key: _closed(value) for key, value in result.items() if value is not _GONE}


def _remove(container: Any, path: tuple[Step, ...]) -> None:
    for depth, step in enumerate(path):
        last = depth == len(path) - 1
        known = step in container if isinstance(container, dict) else _has(container, step)
        if not known:
            return
        if last or container[step] is _GONE:
            container[step] = _GONE
            return
        inner = container[step]
        if isinstance(inner, dict):
            if path[depth + 1] not in inner:
                # A required key is missing: nothing can be made of this map, save of the
                # sections that have something standing in.
                if depth > 0 or step not in STANDING_IN:
                    container[step] = _GONE
                return
            container[step] = dict(inner)
        elif isinstance(inner, list):
            container[step] = list(inner)
        else:
            container[step] = _GONE
            return
        container = container[step]


def _has(container: object, step: Step) -> bool:
    return isinstance(container, list) and isinstance(step, int) and step < len(container)


def _closed(value: object) -> object:
    if isinstance(value, dict):
        return {k: _closed(v) for k, v in value.items() if v is not _GONE}
    if isinstance(value, list):
        return [_closed(item) for item in value if item is not _GONE]
    return value
