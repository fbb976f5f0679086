"""Which tests one process runs, of several."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shares import MACHINE, share

pytestmark = pytest.mark.sources

TESTS = Path(__file__).resolve().parent


@pytest.mark.parametrize(
    ("nodeid", "part"),
    [
        ("tests/e2e/test_run.py::test_it[a::b/c]", "machine"),
        ("tests/runtime/networks/test_networks.py::test_it", "machine"),
        ("tests/test_names.py::test_it", "sources"),
        ("tests/fs/test_copy.py::TestIt::test_it", "tests/fs/test_copy.py"),
    ],
)
def test_what_a_test_is_a_part_of(nodeid: str, part: str) -> None:
    assert share(nodeid) == part


def test_who_makes_containers_shares_the_machine() -> None:
    makers = [
        str(path.relative_to(TESTS.parent))
        for path in TESTS.rglob("test_*.py")
        if path.parent != TESTS
        if any(word in path.read_text("utf-8") for word in ("OciExecutor(", "Sandbox("))
    ]
    assert [path for path in makers if share(path) != "machine"] == []
    assert makers, "the check sees nothing"
    assert all((TESTS.parent / name).is_dir() for name in MACHINE)
