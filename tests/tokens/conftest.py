from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.hostile_provider import running_hostile_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.hostile_provider import HostileProvider


@pytest.fixture
def server() -> Iterator[HostileProvider]:
    """What answers as an issuer: its keys, its discovery, its introspection."""
    with running_hostile_provider() as server:
        yield server
