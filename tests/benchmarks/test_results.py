"""The results that are kept, and the page that is made of them."""

from __future__ import annotations

import copy
import json
import re
import socket
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.bench import PARTS
from benchmarks.figures import render_plots
from benchmarks.report import PAGE, PLOTS, render_page
from benchmarks.results import LATEST

RESULTS: dict[str, Any] = json.loads(LATEST.read_text())
RATIOS = (
    "lane_vs_nginx_return_204",
    "lane_vs_plain_fastapi",
    "framework_vs_plain_fastapi",
    "through_nginx_vs_return_204",
    "routes_100k_vs_10",
    "sessions_1m_vs_1k",
    "miss_per_second",
    "revocation_p99_ms",
)


def test_the_results_have_their_parts() -> None:
    assert {"machine", "versions", "runs", "ratios"} <= RESULTS.keys()
    assert set(RATIOS) <= RESULTS["ratios"].keys()
    assert {run["what"] for run in RESULTS["runs"]} == {
        *("checks", "through nginx", "through envoy", "routes", "misses")
    }


def test_the_results_name_no_machine_and_no_place_on_it() -> None:
    text = LATEST.read_text()
    assert socket.gethostname() not in text
    assert not re.search(r'"/|/(home|root|tmp|usr|var|work)/', text)


def test_the_page_is_what_the_results_say() -> None:
    assert render_page(RESULTS) == PAGE.read_text(), "run `make bench-report`"


def test_the_plots_are_what_the_results_say() -> None:
    written = {path.stem: path.read_text() for path in PLOTS.glob("*.svg")}
    assert render_plots(RESULTS) == written, "run `make bench-report`"


def test_every_plot_is_shown_on_the_page() -> None:
    shown = re.findall(r"\]\(performance/(\w+)\.svg\)", PAGE.read_text())
    assert sorted(shown) == sorted(render_plots(RESULTS))


@pytest.mark.parametrize("name", render_plots(RESULTS))
def test_a_plot_is_well_formed(name: str) -> None:
    ET.fromstring(render_plots(RESULTS)[name])


@pytest.mark.parametrize("missing", ["ratios", "memory", "policy", "news", "micro"])
def test_a_part_that_failed_is_told_and_the_others_are_shown(missing: str) -> None:
    results = copy.deepcopy(RESULTS)
    results[missing] = {}
    results["failed"] = {missing: "it did not start"}
    text = render_page(results)
    assert f"{missing} (it did not start)" in text
    assert "## How it is measured" in text


def test_without_runs_there_is_still_a_page() -> None:
    results = {**RESULTS, "runs": [], "failed": {"services": "no wrk"}}
    assert "Not worked out" in render_page(results)
    assert all(render_plots(results).values())


def test_a_target_that_is_not_met_is_said_so() -> None:
    results = copy.deepcopy(RESULTS)
    results["ratios"]["lane_vs_plain_fastapi"] = 1.5
    assert re.search(
        r"lane, to a plain FastAPI endpoint \| 1\.5 \|.*\| \*\*not met\*\* \|", render_page(results)
    )


def test_a_busy_machine_is_said_to_be_one() -> None:
    results = copy.deepcopy(RESULTS)
    results["machine"] |= {"busy_before": 1.0, "busy_after": 1.02}
    assert "not quiet" not in render_page(results)
    results["machine"]["busy_after"] = 2.5
    assert "not quiet" in render_page(results)


def test_every_part_has_a_name_to_be_asked_for_by() -> None:
    assert {"services", "revocation", "memory", "routes", "sessions", "policy"} <= PARTS.keys()
