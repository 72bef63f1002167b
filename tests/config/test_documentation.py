from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from authz_sidecar.config.documentation import json_schema, markdown
from authz_sidecar.config.schema import Config

if TYPE_CHECKING:
    from collections.abc import Iterator


def keys(
    schema: dict[str, Any], definitions: dict[str, Any], seen: tuple[str, ...] = ()
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in schema.get("properties", {}).items():
        yield name, one
        for inner in (one, one.get("items"), one.get("additionalProperties")):
            if isinstance(inner, dict) and "$ref" in inner and inner["$ref"] not in seen:
                definition = definitions[inner["$ref"].rpartition("/")[2]]
                yield from keys(definition, definitions, (*seen, inner["$ref"]))


def test_every_key_is_described() -> None:
    schema = json_schema()
    missing = [name for name, one in keys(schema, schema["$defs"]) if not one.get("description")]
    assert missing == []


def test_every_key_is_in_the_reference() -> None:
    text = markdown()
    schema = json_schema()
    for name, _ in keys(schema, schema["$defs"]):
        assert f"| `{name}` |" in text


def test_defaults_are_written_as_an_operator_would() -> None:
    server = json_schema()["$defs"]["Server"]["properties"]
    assert server["listen"]["default"] == "127.0.0.1:9180"
    assert server["trusted_proxies"]["default"] == ["127.0.0.1/32", "::1/128"]
    assert json_schema()["$defs"]["Sessions"]["properties"]["lifetime"]["default"] == "14h"


def test_defaults_in_the_schema_are_accepted_as_written() -> None:
    definitions = json_schema()["$defs"]
    given = {
        section: {
            name: one["default"]
            for name, one in definitions[
                {"headers": "HeaderSettings"}.get(section, section.title())
            ]["properties"].items()
            if one.get("default") is not None
        }
        for section in ("server", "sessions", "headers", "assertion")
    }
    given["sessions"]["store"] = "memory://"
    config = Config.model_validate({"secret_keys": ["x" * 32], **given})
    plain = Config.model_validate({"secret_keys": ["x" * 32], "sessions": {"store": "memory://"}})
    assert config == plain


def test_it_is_json() -> None:
    assert json.loads(json.dumps(json_schema())) == json_schema()
