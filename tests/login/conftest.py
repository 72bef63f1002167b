"""Real providers for the tests of sign-in, and one that lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.servers.hostile_provider import HostileProvider, running_hostile_provider
from tests.servers.providers import (
    RunningProvider,
    certified_provider,
    django_provider,
    mock_provider,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["certified_provider", "django_provider", "mock_provider"]


@pytest.fixture(params=["mock_provider", "certified_provider", "django_provider"])
def real_provider(request: pytest.FixtureRequest) -> RunningProvider:
    provider: RunningProvider = request.getfixturevalue(request.param)
    return provider


@pytest.fixture
def hostile_provider() -> Iterator[HostileProvider]:
    with running_hostile_provider() as provider:
        yield provider
