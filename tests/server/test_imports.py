"""What a worker imports once somebody needs it, and not before: an idle one stays small."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SEVERAL_MIB = {"authlib", "jinja2", "joserfc", "pydantic.v1", "re2"}

PEOPLE = {"from": "https://app.example.com", "allow_any_authenticated_user": True}

_PROGRAM = """
import json, sys
import authz_sidecar.server.worker_process, authz_sidecar.server.main
from authz_sidecar.app import build_application
from authz_sidecar.config.schema import Config
from authz_sidecar.observe.metrics import Metrics
build_application(Config.model_validate(json.loads(sys.argv[1])), metrics=Metrics(version=""))
print(json.dumps(list(sys.modules)))
"""


def imported_for(route: dict[str, Any]) -> set[str]:
    config = {
        "secret_keys": ["k" * 32],
        "sessions": {"store": "memory://"},
        "identity_providers": {"corp": {"issuer": "http://localhost:1", "client_id": "x"}},
        "routes": [route],
    }
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(ran.stdout))


def test_a_worker_is_without_what_its_configuration_does_not_need() -> None:
    assert imported_for(PEOPLE) & SEVERAL_MIB == set()


def test_patterns_bring_their_engine() -> None:
    assert imported_for({**PEOPLE, "regex": "/a.*"}) & SEVERAL_MIB == {"re2"}
