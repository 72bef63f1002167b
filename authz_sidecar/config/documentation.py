"""The configuration schema as JSON Schema for editors, and as a page of Markdown documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema

from authz_sidecar.config.schema import Config
from authz_sidecar.config.value_parsers import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_REFERENCE_SCHEMA = {
    "description": "The value is read from an environment variable, a file or `variables`.",
    "type": "object",
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
    "properties": {name: {"type": "string"} for name in ("env", "file", "var", "text")},
}
_SCALAR_TYPES = frozenset({"string", "integer", "number", "boolean"})
_NULL_SCHEMA = {"type": "null"}


class _OperatorSyntaxSchema(GenerateJsonSchema):
    """Defaults as an operator would write them."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, tuple):
            return [self.encode_default(item) for item in dft]
        if isinstance(dft, float):
            return format_duration(dft)
        return dft if isinstance(dft, str | int | dict) or dft is None else str(dft)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file (draft 2020-12), references included."""
    schema = _base_schema()
    definitions = schema.pop("$defs")
    return {
        "$schema": _DIALECT,
        **_with_references(schema),
        "$defs": {name: _with_references(definition) for name, definition in definitions.items()}
        | {"Reference": _REFERENCE_SCHEMA},
    }


def _base_schema() -> dict[str, Any]:
    schema: dict[str, Any] = _simplify(
        Config.model_json_schema(schema_generator=_OperatorSyntaxSchema)
    )
    for definition in (schema, *schema["$defs"].values()):
        for key in definition["properties"].values():
            if "$ref" in key:
                # pydantic leaves a description out where the map it refers to has the same.
                key.setdefault("description", schema["$defs"][_definition_name(key)]["description"])
    return schema


def _definition_name(reference: dict[str, Any]) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _simplify(schema: Any) -> Any:
    """Without generated titles, and without the null that an absent key stands for."""
    if isinstance(schema, list):
        return [_simplify(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {
        key: {name: _simplify(inner) for name, inner in value.items()}
        if key in ("properties", "$defs")
        else _simplify(value)
        for key, value in schema.items()
        if key != "title" and not (key == "default" and value is None)
    }
    if _NULL_SCHEMA in (choices := schema.get("anyOf", ())):
        [choice] = [choice for choice in choices if choice != _NULL_SCHEMA]
        schema = {**choice, **{key: value for key, value in schema.items() if key != "anyOf"}}
    return schema


def _with_references(schema: Any) -> Any:
    """Any scalar may be `{env: NAME}` or `{file: PATH}` instead."""
    if isinstance(schema, list):
        return [_with_references(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in _SCALAR_TYPES:
        outer = {key: schema[key] for key in ("description", "default") if key in schema}
        inner = {key: value for key, value in schema.items() if key not in outer}
        return {**outer, "anyOf": [inner, {"$ref": "#/$defs/Reference"}]}
    if schema.get("type") == "array":
        outer = {key: schema[key] for key in ("description", "default") if key in schema}
        items = {"items": _with_references(schema["items"])} if "items" in schema else {}
        inner = {key: value for key, value in schema.items() if key not in outer} | items
        return {**outer, "anyOf": [inner, {"$ref": "#/$defs/Reference"}]}
    transforms = {
        "properties": lambda schemas: {
            name: _with_references(inner) for name, inner in schemas.items()
        },
        "items": _with_references,
        "additionalProperties": _with_references,
        "anyOf": _with_references,
    }
    return {key: transforms.get(key, _unchanged)(value) for key, value in schema.items()}


def _unchanged(value: Any) -> Any:
    return value


_PAGE_HEAD = """\
# Configuration

<!-- Written by `make docs` from the schema in `authz_sidecar/config/schema`. -->

The configuration is one YAML file: the one that `--config` or `$AUTHZ_SIDECAR_CONFIG` names, by default
`authz-sidecar.yaml`. It can also be a directory. Then its `*.yaml` and `*.yml` files, except `*.test.yaml`, are read in
the order of their names: maps are merged, `routes` are joined, and anything else that is given twice is refused.

- `authz-sidecar check` reports all problems at once, each with file, line and column.
- `authz-sidecar schema` prints the JSON Schema, which editors use to complete and check while you type.
- Unknown keys are refused.
- Any scalar may be `{env: NAME}` or `{file: PATH}`: the text of an environment variable, or of a file without its
  last line break. The path is relative to the file that contains it. A missing variable or file is refused. Any value
  may be `{var: NAME}` or `{text: "…{NAME}…"}`, and a file may extend another one: see
  [environments.md](environments.md). A map whose only key is `env`, `file`, `var` or `text` is such a reference.
- Durations are written `14h`, `1h30m`, `30s`, `500ms` or `2d`.
- Values have the types of YAML 1.2: `yes`, `no`, `on` and `off` are text, `012` is twelve, `0o14` too, dates
  are text. Keys are text, and none may be given twice. Anchors, aliases and merge keys (`<<`) work: own keys win over
  merged ones, earlier maps over later ones. One document a file, 32 MiB together, 2,000,000 values with aliases
  counted as often as they are used, 64 levels.

"""


def markdown() -> str:
    """Return the configuration reference: each key with its type, default and meaning, and a
    section for each map of keys."""
    schema = _base_schema()
    definitions = schema["$defs"]
    return _PAGE_HEAD + "\n".join(
        _section(path, definition) for path, definition in _sections("", schema, definitions)
    )


def _sections(
    path: str, schema: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, schema
    for name, property_schema in schema["properties"].items():
        property_path = f"{path}.{name}" if path else name
        for inner, suffix in (
            (property_schema, ""),
            (property_schema.get("items", {}), "[]"),
            (property_schema.get("additionalProperties", {}), ".NAME"),
        ):
            if isinstance(inner, dict) and "$ref" in inner:
                definition = definitions[_definition_name(inner)]
                yield from _sections(f"{property_path}{suffix}", definition, definitions)


def _section(path: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {_type_name(property_schema)} | {_default_cell(property_schema, required=name in required)} | {_description_cell(property_schema)} |"
        for name, property_schema in schema["properties"].items()
    ]
    lines = [f"## `{path}`" if path else "## Top level", ""]
    if path:
        lines += [schema["description"], ""]
    return "\n".join([*lines, "| key | type | default | meaning |", "|---|---|---|---|", *rows, ""])


_TYPE_NAMES = {
    "string": "text",
    "integer": "whole number",
    "boolean": "`true` or `false`",
    "object": "map, by name",
}


def _type_name(schema: dict[str, Any]) -> str:
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(f"`{choice}`" for choice in choices)
    if "$ref" in schema:
        return "map, below"
    if "anyOf" in schema:
        return " or ".join(_type_name(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_item_type_name(schema['items'])}"
    return _TYPE_NAMES.get(schema.get("type", ""), "any")


def _item_type_name(schema: dict[str, Any]) -> str:
    return "maps, below" if "$ref" in schema else _type_name(schema)


def _default_cell(schema: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    value = schema.get("default")
    if value is None or value in ([], {}):
        return ""
    return f"`{_format_default(value)}`"


def _format_default(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_format_default, value))}]"
    return str(value)


def _description_cell(schema: dict[str, Any]) -> str:
    return str(schema["description"]).replace("|", "\\|")
