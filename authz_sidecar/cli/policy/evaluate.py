"""`authz-sidecar policy eval`: one line of JSON for each test vector, whatever is in it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.config.yaml import read_text
from authz_sidecar.core.source_locations import unplaced
from authz_sidecar.errors import StartError
from authz_sidecar.policy.vectors import InputError, RefusedPolicy, load_policy, read_case
from authz_sidecar.policy.vectors import run as run_case
from authz_sidecar.routes.vectors import load_route

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Commands
    from authz_sidecar.policy import Policy

Answer = dict[str, object]


def add(commands: Commands) -> None:
    parser = commands.add_parser("eval", help="evaluate a file of policies and inputs")
    parser.add_argument("vectors", type=Path, metavar="VECTORS.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Exit code 1 where a policy was refused or an input could not be interpreted."""
    code = 0
    now = time.time()
    for vector in _vectors(arguments.vectors):
        answer = answer_of(vector, clock=now)
        # ASCII alone, so that no character of a vector can fail to be printed.
        print(json.dumps(answer, ensure_ascii=True))
        code |= "error" in answer
    return code


def answer_of(vector: object, *, clock: float) -> Answer:
    """What becomes of one vector. Never raises; `clock` is the time where the input names none."""
    name = vector.get("id") if isinstance(vector, Mapping) else None
    try:
        if not isinstance(vector, Mapping):
            raise InputError("a vector is an object")  # noqa: TRY301 - told like the rest
        return {"id": name, **_evaluated(vector, clock)}
    except RefusedPolicy as refused:
        return _error(name, refused.stage, str(refused))
    except InputError as wrong:
        return _error(name, "input", str(wrong))
    except RecursionError:
        return _error(name, "input", "nested too deeply")
    except Exception as wrong:  # noqa: BLE001 - one bad vector must not cost the others theirs
        return _error(name, "internal", f"{type(wrong).__name__}: {wrong}")


def _evaluated(vector: Mapping[str, object], clock: float) -> Answer:
    policy = _policy(vector)
    given = vector.get("input", {})
    if not isinstance(given, Mapping):
        raise InputError("`input` takes an object")
    result = run_case(policy, read_case(given, clock=clock))
    evaluation = result.evaluation
    answer: Answer = {
        "allow": evaluation.allow.holds,
        "deny": evaluation.deny.holds,
        "allow_reasons": sorted(evaluation.allow.reasons),
        "deny_reasons": sorted(evaluation.deny.reasons),
        "outcome": str(result.outcome),
    }
    if result.device_type is not None:
        answer["additional_data"] = {"device_type": result.device_type}
    return answer


def _policy(vector: Mapping[str, object]) -> Policy:
    """`policy_text` counts before `policy`; without either, a whole `route` stands for its policy."""
    where = unplaced("policy")
    if (text := vector.get("policy_text")) is not None:
        if not isinstance(text, str):
            raise InputError("`policy_text` takes a string")
        document = read_text(text, file="policy")
        if document.problems:
            raise RefusedPolicy("parse", document.problems)
        return load_policy(document.data, where=document.positions)
    route = vector.get("route")
    if vector.get("policy") is None and isinstance(route, Mapping):
        return load_route(route, where=unplaced("route"))
    return load_policy(vector.get("policy"), where=where)


def _error(name: object, stage: str, message: str) -> Answer:
    return {"id": name, "error": {"stage": stage, "message": message}}


def _vectors(path: Path) -> list[object]:
    try:
        vectors = json.loads(path.read_bytes())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartError(f"cannot read `{path}`: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise StartError(f"`{path}` is not json: {error}") from None
    if not isinstance(vectors, list):
        raise StartError(f"`{path}` holds no list of vectors")
    return vectors
