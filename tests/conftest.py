"""For all tests: in CI nothing may be skipped that was not skipped before."""

from __future__ import annotations

import os

import pytest

SKIPS_IN_CI = 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that needs what a machine lacks skips, loudly; on CI's machine that is a failure."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = len(reporter.stats.get("skipped", []))
    if os.environ.get("CI") and skipped > SKIPS_IN_CI and session.exitstatus == 0:
        reporter.write_line(f"{skipped} tests were skipped; CI allows {SKIPS_IN_CI}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
