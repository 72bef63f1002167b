"""What every test shares: asynchronous tests run on asyncio, the loop the product runs on."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
