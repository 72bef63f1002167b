"""Results of policy tests as JUnit XML, which every CI system reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.routes.test_runner import Result

# XML 1.0 section 2.2: these cannot be written in any way.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Sequence[Result]) -> bytes:
    """One suite for each file."""
    files = dict.fromkeys(result.case.place[0] for result in results)
    root = ET.Element("testsuites", _counts(results))
    for file in files:
        of_file = [result for result in results if result.case.place[0] == file]
        suite = ET.SubElement(root, "testsuite", {"name": _sound(file), **_counts(of_file)})
        for result in of_file:
            _case(suite, result)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _case(suite: ET.Element, result: Result) -> None:
    file, line, _ = result.case.place
    case = ET.SubElement(
        suite,
        "testcase",
        {"name": _sound(result.case.name), "classname": _sound(file), "line": str(line)},
    )
    if result.differences:
        lines = [
            f"{it.what}: expected {it.expected}, found {it.found}" for it in result.differences
        ]
        failure = ET.SubElement(case, "failure", {"message": _sound(lines[0])})
        failure.text = _sound("\n".join(lines))


def _counts(results: Sequence[Result]) -> dict[str, str]:
    failed = sum(not result.passed for result in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0"}


def _sound(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
