"""A configuration arrives in another process as it was sent, places included."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar.config.load import load_config
from authz_sidecar.config.schema import Config
from authz_sidecar.config.transfer import PIECE, dumps, loads

if TYPE_CHECKING:
    from pathlib import Path


def routes(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "name": f"r{number}",
            "from": f"https://r{number}.example.com",
            "allow_public_unauthenticated_access": True,
        }
        for number in range(first, first + count)
    ]


def content(count: int) -> dict[str, Any]:
    return {
        "secret_keys": ["k" * 40],
        "sessions": {"store": "memory://"},
        "routes": routes(count),
    }


def assert_arrives(config: Config) -> None:
    arrived = loads(dumps(config))
    assert arrived == config
    assert arrived.secret_keys[0].reveal() == "k" * 40
    for number, route in enumerate(config.routes):
        assert arrived.routes[number] == route
        for below in ((), ("from",), ("nothing",)):
            path = ("routes", number, *below)
            assert arrived.source_map.location_of(*path) == config.source_map.location_of(*path)
    assert arrived.source_map.location_of() == config.source_map.location_of()
    assert arrived.source_map.location_of("routes") == config.source_map.location_of("routes")
    assert arrived.source_map.location_of("sessions", "store") == config.source_map.location_of(
        "sessions", "store"
    )


@pytest.mark.parametrize("count", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7])
def test_of_a_file(tmp_path: Path, count: int) -> None:
    (path := tmp_path / "a.yaml").write_text(json.dumps(content(count), indent=1))
    assert_arrives(load_config(path, env={}))


def test_without_any_routes(tmp_path: Path) -> None:
    settings = content(0)
    del settings["routes"]
    (path := tmp_path / "a.yaml").write_text(json.dumps(settings))
    assert_arrives(load_config(path, env={}))


def test_of_several_files_on_top_of_others(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(json.dumps(content(PIECE + 3), indent=1))
    (folder := tmp_path / "folder").mkdir()
    (folder / "1.yaml").write_text(json.dumps({"extends": "../base.yaml"}))
    (folder / "2.yaml").write_text(json.dumps({"routes": routes(PIECE, first=1000)}, indent=2))
    config = load_config(folder, env={})
    assert len(config.routes) == 2 * PIECE + 3
    assert_arrives(config)


def test_of_no_file() -> None:
    assert_arrives(Config.model_validate(content(2 * PIECE)))


def test_no_piece_is_large(tmp_path: Path) -> None:
    (path := tmp_path / "a.yaml").write_text(json.dumps(content(40 * PIECE), indent=1))
    rest, *several = pickle.loads(dumps(load_config(path, env={})))
    sizes = [len(piece) for pieces in several for piece in pieces]
    assert len(sizes) == 80
    assert max(*sizes, len(rest)) < 3 * min(sizes)
