"""Names that operators, proxies and programs rely on: each table is what is published today.

A new name fails its test until it has a row. To change or remove a row is to break a dashboard, a
proxy's configuration or a script: it needs a line in the changelog.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import logging
import pickle
import pickletools
import re
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest

from authz_sidecar import cli
from authz_sidecar.adapters.registry import enabled_adapters
from authz_sidecar.config.documentation import json_schema
from authz_sidecar.config.load import load_config
from authz_sidecar.config.schema import ADAPTERS
from authz_sidecar.core.types import SessionKind
from authz_sidecar.core.urls import parse_origin
from authz_sidecar.login.loop_detection import LoopDetector
from authz_sidecar.login.transactions import TransactionCookies
from authz_sidecar.observe.check_recorder import CheckRecorder
from authz_sidecar.observe.metrics import Metrics
from authz_sidecar.policy.reasons import CODES
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.web.ops import build_ops_app
from tests.contract.source import (
    Call,
    calls,
    golden_rows,
    keyword_texts,
    modules,
    nodes,
    returned_texts,
    string_constants,
    text_of,
)
from tests.login.test_transactions import attempt
from tests.observe.test_check_recorder import REQUEST, check
from tests.support.sign_in import SignInFixture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEYS = SecretKeys([b"k" * 32])

LABELS = {
    "authz_build_info": "gauge python version",
    "authz_check_duration_seconds": "histogram adapter le",
    "authz_checks": "counter adapter decision status",
    "authz_config_generation": "gauge",
    "authz_config_generation_wanted": "gauge",
    "authz_config_last_reload_success_timestamp_seconds": "gauge",
    "authz_config_last_reload_successful": "gauge",
    "authz_connections_refused": "counter listener status",
    "authz_credentials": "counter kind outcome",
    "authz_near_cache_bytes": "gauge",
    "authz_near_cache_coherent": "gauge",
    "authz_near_cache_entries": "gauge",
    "authz_near_cache_evictions": "counter",
    "authz_near_cache_invalidations": "counter",
    "authz_near_cache_lookups": "counter from",
    "authz_near_cache_losses": "counter",
    "authz_near_cache_refused": "gauge",
    "authz_near_cache_touches": "counter",
    "authz_record_tables_known": "gauge table",
    "authz_routes": "gauge",
    "authz_routes_refused": "gauge",
    "authz_sign_ins": "counter outcome provider",
    "authz_store_errors": "counter",
    "authz_throttled": "counter endpoint",
    "authz_worker_config_generation": "gauge worker",
    "authz_worker_restarts": "counter reason",
    "authz_workers_answering": "gauge",
    "authz_workers_configured": "gauge",
    "authz_workers_lagging": "gauge",
}
BUCKETS = "0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.5 1.0 5.0 +Inf"


def registered_metrics() -> Metrics:
    """Each metric with a sample, so that its labels are there to be seen."""
    metrics = Metrics(version="1", with_process_metrics=False)
    metrics.check_counter(adapter="nginx", decision="allow", status=200).observe(0.01)
    metrics.count_sign_in(provider="corp", outcome="success")
    metrics.count_throttled(endpoint="start")
    metrics.count_credentials(kind="token", outcome="allow")
    metrics.count_refused_connection(listener="check", status=431)
    metrics.track_record_tables({"people": type("Table", (), {"current": lambda _self: None})()})
    answers = {"worker": 1, "answering": True, "generation": 1, "lagging": False}
    metrics.track_workers(lambda: [type("Worker", (), answers)()])
    metrics.count_worker_restart("lagging")
    return metrics


def test_metrics() -> None:
    report = registered_metrics().snapshot()
    labels = {
        family.name: " ".join(
            (family.kind, *sorted({name for _, given, _ in family.samples for name, _ in given}))
        )
        for family in report
    }
    assert labels == LABELS
    values = {
        value for f in report for _, given, _ in f.samples for name, value in given if name == "le"
    }
    assert values == set(BUCKETS.split())


@pytest.mark.parametrize(
    ("found", "published"),
    [
        pytest.param(
            returned_texts("log_outcome"), "allow deny refused sign-in unavailable", id="decision"
        ),
        pytest.param(
            keyword_texts("outcome") | returned_texts("_outcome"),
            "error lost provider-unavailable refused store-unavailable success",
            id="outcome of a sign-in",
        ),
        pytest.param(
            keyword_texts("endpoint", "rate_limited_as"),
            "api/login api/token basic callback choose frontchannel-logout handover sign-in start",
            id="endpoint",
        ),
        pytest.param(
            frozenset(SessionKind),
            "child introspected password service-account sign-in token tool",
            id="kind of a session or credential",
        ),
    ],
)
def test_values_of_labels(found: frozenset[str], published: str) -> None:
    assert found == set(published.split())


def reason_codes() -> Iterator[str]:
    """The codes that are no policy's: reasons of a denial or an error, and by status; those of
    RFC 6749, 6750 and 9449; and what nginx is told between its two questions."""
    yield from keyword_texts("reason", "code")
    for call in calls():
        if call.name == "GrantRefused":
            yield call.first_text() or ""
        if call.name == "Deny":
            yield from texts_in_sets(call.module, *call.node.args)
        named = (keyword.value for keyword in call.node.keywords if keyword.arg == "reasons")
        yield from texts_in_sets(call.module, *named)
    for module, assigned in nodes(ast.Assign):
        if ast.unparse(assigned.targets[0]) == "reasons":
            yield from texts_in_sets(module, assigned.value)
    for module, table in nodes(ast.Dict):
        if any(
            isinstance(key, ast.Constant) and key.value in {400, 403, 503} for key in table.keys
        ):
            yield from (text_of(value, module) or "" for value in table.values)
    for module, pair in nodes(ast.Tuple):
        if len(pair.elts) == 2 and text_of(pair.elts[0], module) == "x-authz-reason":
            yield text_of(pair.elts[1], module) or ""


def texts_in_sets(module: str, *where: ast.expr) -> Iterator[str]:
    sets = (node for each in where for node in ast.walk(each) if isinstance(node, ast.Set))
    yield from (text_of(element, module) or "" for each in sets for element in each.elts)


def test_reason_codes() -> None:
    found = {code for code in reason_codes() if re.fullmatch(r"[a-z]{3,}([_-][a-z]+)*", code)}
    assert sorted({*CODES, *found}) == golden_rows("reasons.txt")


def log_line_signature(call: Call) -> str:
    """Level, message and names of the values that a line has besides."""
    arguments = call.node.args
    level = call.name
    message = text_of(arguments[0], call.module) if arguments else None
    given = (keyword.value for keyword in call.node.keywords if keyword.arg == "extra")
    names = sorted(
        (keyword.arg or "{}").replace("_", "-")
        for value in given
        if isinstance(value, ast.Call)
        for keyword in value.keywords
    )
    return " ".join((level, json.dumps(message), *names))


def test_log_lines() -> None:
    levels = {"debug", "info", "warning", "error", "exception", "critical"}
    found = {
        log_line_signature(call)
        for call in calls()
        if call.receiver in {"logger", "_log"} and call.name in levels
    }
    assert sorted(found) == golden_rows("log_lines.txt")


def test_loggers() -> None:
    """Names of loggers that are said; all others are called like their module."""
    named = {call.first_text() for call in calls() if call.name == "getLogger"} - {None, "{}"}
    assert named == {"authz_sidecar.check", "uvicorn.error"}


def test_the_line_of_a_check(caplog: pytest.LogCaptureFixture) -> None:
    recorder = CheckRecorder(metrics=registered_metrics())
    asked = replace(REQUEST, client=ip_address("192.0.2.1"))
    caplog.set_level(logging.INFO)
    for status, error in ((200, None), (400, "wrong"), (503, "away")):
        recorder.record(check(request=asked, status=status, error=error, credential="token"))
    assert [(line.name, line.levelname, line.getMessage()) for line in caplog.records] == [
        ("authz_sidecar.check", level, "authorize check") for level in ("INFO", "WARNING", "ERROR")
    ]
    assert " ".join(vars(caplog.records[-1])["fields"]) == (
        "request-id duration-ms check decision reasons status method host path ip route-id"
        " session-id user email provider credential groups error"
    )


def list_routes(app: Any) -> Iterator[tuple[str, str]]:
    for route in app.routes:
        if (router := getattr(route, "original_router", None)) is not None:
            yield from list_routes(router)
        else:
            yield route.path, " ".join(sorted(route.methods))


def test_endpoints() -> None:
    web = SignInFixture(issuer="https://idp.example.com").app
    found = [
        *(f"check {path}" for path in enabled_adapters(ADAPTERS)),
        *(f"web {path} {methods}" for path, methods in list_routes(web)),
        *(f"ops {path} {methods}" for path, methods in list_routes(build_ops_app(None))),  # type: ignore[arg-type]
    ]
    assert sorted(found) == golden_rows("endpoints.txt")


@pytest.mark.parametrize(
    ("origin", "prefix"),
    [("https://app.example.com", "__Host-"), ("http://app.example.com:8080", "")],
)
def test_cookies_of_a_sign_in(origin: str, prefix: str) -> None:
    """Those of sessions are in `tests/sessions/test_cookie.py`."""
    host, begun = parse_origin(origin), attempt()
    flow = TransactionCookies(KEYS, base_name="authz").keep(
        begun, (), origin=host, cross_site=False
    )
    loop = LoopDetector(keys=KEYS, base_name="authz").count_round((), origin=host, now=1.0)
    assert flow[0].startswith(f"{prefix}authz-flow-{begun.id}=")
    assert loop.startswith(f"{prefix}authz-loop=")


SCHEMA = json_schema()


def schema_keys(schema: Any, path: str = "") -> Iterator[str]:
    """Every key with where it stands, and the words it may be set to."""
    if "$ref" in schema:
        yield from schema_keys(SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], path)
    for word in (*schema.get("enum", ()), *filter(None, (schema.get("const"),))):
        yield f"{path} = {word}"
    inner = schema.get("properties", {})
    if {*inner} <= {"env", "file", "text", "var"}:  # any scalar may be written so
        inner = {}
    below = {f"{path}.{name}".removeprefix("."): value for name, value in inner.items()}
    yield from below
    below |= {f"{path}.NAME": schema.get("additionalProperties"), f"{path}[]": schema.get("items")}
    several = [
        (path, each) for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name, ())
    ]
    for key, value in (*below.items(), *several):
        if isinstance(value, dict):
            yield from schema_keys(value, key)


def test_configuration_keys() -> None:
    assert sorted(set(schema_keys(SCHEMA))) == golden_rows("configuration.txt")


class ParserCaught(Exception):
    pass


def command_line(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from command_line(inner)
        elif action.dest != "help":
            names = " ".join(action.option_strings) or str(action.metavar or action.dest)
            words = " = " + "|".join(map(str, action.choices)) if action.choices else ""
            yield f"{parser.prog} {names}{words}"
    yield parser.prog


def test_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def caught(parser: argparse.ArgumentParser, *_: object) -> None:
        raise ParserCaught(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", caught)
    with pytest.raises(ParserCaught) as parser:
        cli.main([])
    assert sorted(command_line(parser.value.args[0])) == golden_rows("command_line.txt")


def test_environment() -> None:
    variables = {text for text in string_constants() if re.fullmatch(r"AUTHZ_[A-Z_]+", text)}
    # The first is read; the others are only proposed for what is written with `{env: NAME}`.
    assert variables == {
        "AUTHZ_SIDECAR_CONFIG",
        *("AUTHZ_SECRET_KEY", "AUTHZ_SIGNING_KEY", "AUTHZ_HEADER_"),
    }


def test_modules_that_are_named_by_a_string() -> None:
    """A worker is started as `python -m`: operators see that name, and it must be there."""
    started = {
        text
        for call in calls()
        if any(isinstance(each, ast.Constant) and each.value == "-m" for each in call.node.args)
        for each in call.node.args
        if (text := text_of(each, call.module)) is not None and "." in text
    }
    assert started == {"authz_sidecar.server.worker_process"}
    for name in started:
        found = importlib.util.find_spec(name)
        assert found is not None, name
        assert found.origin is not None
    named = {text for text in string_constants() if re.fullmatch(r"authz_sidecar(\.\w+)+", text)}
    loggers = {"authz_sidecar.check"}
    assert named - loggers <= {*modules()}


def test_a_configuration_travels_to_workers_as_it_is(tmp_path: Path) -> None:
    """Pickled: all that it is made of is found by module and name, in one version of the package."""
    file = tmp_path / "authz-sidecar.yaml"
    file.write_text(
        f"secret_keys: [{'k' * 32}]\nsessions: {{store: 'memory://'}}\n"
        "identity_providers: {corp: {issuer: https://idp.example.com, client_id: a, client_secret: b}}\n"
        "routes: [{from: https://app.example.com, allow_any_authenticated_user: true}]\n"
    )
    config = load_config(file, env={})
    pickled = pickle.dumps(config)
    assert pickle.loads(pickled) == config
    strings = [arg for _, arg, _ in pickletools.genops(pickled) if isinstance(arg, str)]
    ours = {each for each in strings if each.startswith("authz_sidecar.")}
    assert ours
    assert ours <= {*modules()}, "an object of the package whose module is no module"
