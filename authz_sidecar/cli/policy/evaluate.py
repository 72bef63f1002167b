"""`authz-sidecar policy eval`: evaluates test vectors and prints one line of JSON for each."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from authz_sidecar.cli.options import add_command
from authz_sidecar.config.yaml import parse_yaml
from authz_sidecar.core.source_locations import unknown_locations
from authz_sidecar.errors import StartupError
from authz_sidecar.policy.vectors import InputError, PolicyRejected, load_policy, read_case
from authz_sidecar.policy.vectors import evaluate_case as run_case
from authz_sidecar.routes.vectors import load_route

if TYPE_CHECKING:
    import argparse

    from authz_sidecar.cli.options import Subparsers
    from authz_sidecar.policy import Policy

VectorResultJson = dict[str, object]


def add(commands: Subparsers) -> None:
    """Add the command to the parser."""
    parser = add_command(commands, "eval", "evaluate a file of policies and inputs")
    parser.add_argument("vectors", type=Path, metavar="VECTORS.json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print one line of JSON for each vector; return 1 if a policy or an input was refused, else 0.
    Raises `StartupError`."""
    code = 0
    now = time.time()
    for vector in _read_vectors(arguments.vectors):
        output = evaluate_vector(vector, clock=now)
        # ASCII only, so that no character of a vector can fail to be printed.
        print(json.dumps(output, ensure_ascii=True))
        code |= "error" in output
    return code


def evaluate_vector(vector: object, *, clock: float) -> VectorResultJson:
    """Return the result of one vector, in which an `InputError` or `PolicyRejected` is an `error`.
    Never raises; `clock` is the Unix time for inputs that have none."""
    name = vector.get("id") if isinstance(vector, Mapping) else None
    try:
        if not isinstance(vector, Mapping):
            raise InputError("a vector is an object")  # noqa: TRY301 - reported like the others
        return {"id": name, **_evaluate(vector, clock)}
    except PolicyRejected as rejected:
        return _error_json(name, rejected.stage, str(rejected))
    except InputError as error:
        return _error_json(name, "input", str(error))
    except RecursionError:
        return _error_json(name, "input", "nested too deeply")
    except Exception as error:  # noqa: BLE001 - one bad vector must not stop the others
        return _error_json(name, "internal", f"{type(error).__name__}: {error}")


def _evaluate(vector: Mapping[str, object], clock: float) -> VectorResultJson:
    policy = _load_vector_policy(vector)
    case_input = vector.get("input", {})
    if not isinstance(case_input, Mapping):
        raise InputError("`input` takes an object")
    result = run_case(policy, read_case(case_input, clock=clock))
    evaluation = result.evaluation
    output: VectorResultJson = {
        "allow": evaluation.allow.holds,
        "deny": evaluation.deny.holds,
        "allow_reasons": sorted(evaluation.allow.reasons),
        "deny_reasons": sorted(evaluation.deny.reasons),
        "outcome": str(result.outcome),
    }
    if result.device_type is not None:
        output["additional_data"] = {"device_type": result.device_type}
    return output


def _load_vector_policy(vector: Mapping[str, object]) -> Policy:
    """The policy of a vector: `policy_text` takes precedence over `policy`, and `route` is used
    without both."""
    where = unknown_locations("policy")
    if (text := vector.get("policy_text")) is not None:
        if not isinstance(text, str):
            raise InputError("`policy_text` takes a string")
        document = parse_yaml(text, file="policy")
        if document.problems:
            raise PolicyRejected("parse", document.problems)
        return load_policy(document.data, source_map=document.source_map)
    route = vector.get("route")
    if vector.get("policy") is None and isinstance(route, Mapping):
        return load_route(route, source_map=unknown_locations("route"))
    return load_policy(vector.get("policy"), source_map=where)


def _error_json(name: object, stage: str, message: str) -> VectorResultJson:
    return {"id": name, "error": {"stage": stage, "message": message}}


def _read_vectors(path: Path) -> list[object]:
    try:
        vectors = json.loads(path.read_bytes())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StartupError(f"cannot read `{path}`: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise StartupError(f"`{path}` is not json: {error}") from None
    if not isinstance(vectors, list):
        raise StartupError(f"`{path}` is not a list of vectors")
    return vectors
