"""What every test shares: asynchronous tests run on asyncio, the loop the product runs on."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A machine that is busy with other things proves nothing about the code.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

pytest_plugins = ["tests.servers.redis", "tests.servers.redis_groups"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
