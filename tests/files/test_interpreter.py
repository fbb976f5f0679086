"""Programs of ours, and what they are told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
CODE = """
import sys
sys.path.insert(0, sys.argv[1])
from croze.files.interpreter import own_environment
env = own_environment()
print("PYTHONHOME" in env, "PYTHONPATH" in env and env["PYTHONPATH"].startswith(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("options", "is_told"), [(["-I"], False), (["-S", "-I"], False), ([], True)]
)
def test_an_isolated_daemon_has_isolated_workers(options: list[str], is_told: bool) -> None:
    """`PYTHONHOME` may be meant for another Python, with which none of them would start."""
    words = [sys.executable, *options, "-c", CODE, str(SOURCE)]
    env = {**os.environ, "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(is_told), "True"]
