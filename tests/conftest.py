"""For all tests: in CI nothing may be skipped that was not skipped before; interrupts are taken."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support import shares, syntax

SKIPS_IN_CI = 0


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    _heed_signals()
    if hasattr(config, "workerinput"):  # of pytest-xdist
        folder = Path(config.option.basetemp)
        # The paths of sockets have 107 bytes.
        config.option.basetemp = str(folder.with_name(folder.name.removeprefix("popen-gw")))


def _heed_signals() -> None:
    """A shell starts what it puts into the background with SIGINT ignored, `nohup` all with SIGHUP,
    and so they would be in all that tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    return shares.scheduler(config, log)


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if "sources" in item.keywords and (nextitem is None or "sources" not in nextitem.keywords):
        syntax.forget()


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
