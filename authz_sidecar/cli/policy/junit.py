"""Formats the results of policy tests as JUnit XML, which CI systems read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_sidecar.routes.test_runner import CaseResult

# XML 1.0 section 2.2: these cannot be written in any way.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit_xml(results: Sequence[CaseResult]) -> bytes:
    """Return the results as JUnit XML in UTF-8, with one suite for each file."""
    files = dict.fromkeys(result.case.location[0] for result in results)
    root = ET.Element("testsuites", _counts(results))
    for file in files:
        file_results = [result for result in results if result.case.location[0] == file]
        suite = ET.SubElement(root, "testsuite", {"name": _xml_safe(file), **_counts(file_results)})
        for result in file_results:
            _add_case(suite, result)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _add_case(suite: ET.Element, result: CaseResult) -> None:
    file, line, _ = result.case.location
    case = ET.SubElement(
        suite,
        "testcase",
        {"name": _xml_safe(result.case.name), "classname": _xml_safe(file), "line": str(line)},
    )
    if result.differences:
        lines = [
            f"{difference.what}: expected {difference.expected}, found {difference.found}"
            for difference in result.differences
        ]
        failure = ET.SubElement(case, "failure", {"message": _xml_safe(lines[0])})
        failure.text = _xml_safe("\n".join(lines))


def _counts(results: Sequence[CaseResult]) -> dict[str, str]:
    failed = sum(not result.passed for result in results)
    return {"tests": str(len(results)), "failures": str(failed), "errors": "0"}


def _xml_safe(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
