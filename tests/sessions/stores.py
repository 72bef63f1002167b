"""The stores that suites run on, by name; each is opened by a URL as an operator writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

STORES = ("memory", "redis", "socket", "password", "sentinel", "cluster")


def store_url(name: str, request: pytest.FixtureRequest) -> str:
    match name:
        case "redis":
            url = request.getfixturevalue("redis_server").url
        case "socket":
            url = request.getfixturevalue("redis_server").unix_url
        case "password":
            url = request.getfixturevalue("redis_with_password").url
        case "sentinel":
            url = request.getfixturevalue("redis_sentinel").url
        case "cluster":
            url = request.getfixturevalue("redis_cluster").url
        case _:
            url = "memory://"
    return str(url)
