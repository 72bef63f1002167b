"""The types of configuration values: the notation of each, and the Python value it becomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainValidator,
    WithJsonSchema,
)

from authz_sidecar.config import value_parsers
from authz_sidecar.config.references import ExternalText
from authz_sidecar.core.header_template import HeaderTemplate, parse_header_template
from authz_sidecar.core.urls import Origin

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Secret:
    """Text that is not shown in logs, messages or tracebacks."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


def _require_text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    if value is None:
        raise ValueError("must be text, but is empty")
    if isinstance(value, bool | int | float):
        raise ValueError("must be text, put it in quotes")
    raise ValueError("must be text")


def _parsed_text(parse: Callable[[str], T], **schema: Any) -> tuple[PlainValidator, WithJsonSchema]:
    """A type that is written as text."""
    return (
        PlainValidator(lambda value: parse(_require_text(value))),
        WithJsonSchema({"type": "string", **schema}),
    )


def _parse_duration(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f"needs a unit, such as `{value}s`")
    return value_parsers.parse_duration(_require_text(value))


def _parse_number(value: object) -> object:
    """Variables and files hold text; a number in one is read here."""
    if isinstance(value, ExternalText) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


def _parse_boolean(value: object) -> object:
    if isinstance(value, ExternalText) and value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise ValueError("must be `true` or `false`")
    return value


def _wrap_single(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _require_list(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list")
    return value


def _require_map(value: object) -> object:
    if not isinstance(value, dict | BaseModel):
        raise ValueError("must be a map of keys and values")
    return value


def _parse_secret(text: str) -> Secret:
    if not text:
        raise ValueError("must not be empty")
    return Secret(text)


def _require_nonempty(text: str) -> str:
    if not text:
        raise ValueError("must not be empty")
    return text


def _require_unique(values: tuple[T, ...]) -> tuple[T, ...]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"`{value}` is given twice")
    return values


Text = Annotated[str, *_parsed_text(_require_nonempty)]
SecretText = Annotated[Secret, *_parsed_text(_parse_secret)]
Number = Annotated[int, BeforeValidator(_parse_number)]
Boolean = Annotated[bool, BeforeValidator(_parse_boolean)]
Duration = Annotated[
    float,
    PlainValidator(_parse_duration),
    WithJsonSchema({"type": "string", "examples": ["14h", "1h30m", "30s"]}),
]
ListenAddressText = Annotated[
    value_parsers.ListenAddress, *_parsed_text(value_parsers.parse_listen_address)
]
NetworkText = Annotated[value_parsers.Network, *_parsed_text(value_parsers.parse_exact_network)]
OriginText = Annotated[
    Origin, *_parsed_text(value_parsers.parse_origin_text, examples=["https://app.example.com"])
]
Issuer = Annotated[str, *_parsed_text(value_parsers.parse_issuer)]
TenantId = Annotated[str, *_parsed_text(value_parsers.parse_tenant_id)]
Name = Annotated[str, *_parsed_text(value_parsers.parse_name)]
HeaderName = Annotated[str, *_parsed_text(value_parsers.parse_header_name)]
TemplateText = Annotated[
    HeaderTemplate,
    *_parsed_text(parse_header_template, examples=["Bearer ${pomerium.jwt}"]),
]
CookieName = Annotated[str, *_parsed_text(value_parsers.parse_cookie_name)]
CookieDomain = Annotated[str, *_parsed_text(value_parsers.parse_cookie_domain)]
BasePath = Annotated[str, *_parsed_text(value_parsers.parse_base_path)]

MustBeList = BeforeValidator(_require_list)
MustBeMap = BeforeValidator(_require_map)
OneOrMany = BeforeValidator(_wrap_single)
OneOrManySchema = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)
Unique = AfterValidator(_require_unique)


class Section(BaseModel):
    """Base class of every map of keys: frozen, without unknown keys, and without values in
    errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        validate_default=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )
