"""The contract of executors, on every OCI runtime that the machine has; for an ordinary user, too,
where the end-to-end tests run this file in a user namespace."""

from __future__ import annotations

import pytest

from tests.conformance.executors import ExecutorSuite

pytestmark = pytest.mark.root


class TestOci(ExecutorSuite):
    """`executor` is one for each runtime."""
