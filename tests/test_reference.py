"""The names that `import croze` gives, and the reference pages, which are made from the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import croze

pytestmark = pytest.mark.sources

ROOT = Path(__file__).resolve().parent.parent


def test_the_exported_names_are_there() -> None:
    assert croze.__all__ == sorted(croze.__all__)
    assert set(croze.__all__) == set(croze._LAZY)
    assert set(croze.__all__) <= set(dir(croze))
    for name in croze.__all__:
        assert getattr(croze, name) is not None
    star: dict[str, object] = {}
    exec("from croze import *", star)
    assert set(croze.__all__) <= set(star)


def test_the_pages_are_current() -> None:
    """`make reference` makes them; what it changes in api.md, users of the library notice."""
    command = [sys.executable, "scripts/reference.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
