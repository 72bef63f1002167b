"""A pytest plugin (`-p tests.nothing_skipped`) for CI: a skipped test fails the run, for a test
that nobody ran proves nothing."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if skipped := terminalreporter.stats.get("skipped"):
        terminalreporter.write_line(
            f"{len(skipped)} skipped: nothing may be skipped here", red=True
        )
