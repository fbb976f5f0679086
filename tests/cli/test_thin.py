"""The thin start is thin."""

from __future__ import annotations

import subprocess
import sys


def test_it_imports_next_to_nothing() -> None:
    """Of the standard library, only what every interpreter has loaded anyway."""
    code = """if True:
        import sys
        before = set(sys.modules)
        import croze.cli.thin
        print(sorted(name for name in set(sys.modules) - before if name.split(".")[0] != "croze"))
        print(len(set(sys.modules) - before))
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    others, count = done.stdout.splitlines()
    assert others == "[]"
    assert int(count) < 15
