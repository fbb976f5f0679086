"""Who has a container's root for its own runs nothing of what is in there."""

from __future__ import annotations

import encodings
import os
import subprocess
import sys
from pathlib import Path

import pytest

from croze.runtime import inroot

ENTERED = "from croze.runtime import inroot; inroot._enter(inroot.Request('stat', {root!r})); "
PLANTED = "import os; os.write(1, b'planted')\n"
LOOKS = {
    "a module": "import planted",
    "a codec": "'x'.encode('planted')",
    "a line of a traceback": "inroot._line(object())",
    "what is told of an error": "import atexit; atexit.register(lambda: 1 / 0)",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_nothing_is_loaded(tmp_path: Path, look: str) -> None:
    for place in [*filter(None, sys.path), os.path.dirname(encodings.__file__)]:
        folder = tmp_path / place.lstrip("/")
        if not folder.exists():
            folder.mkdir(parents=True)
        for name in ("planted", "traceback", "linecache", "codeop"):
            (folder / f"{name}.py").write_text(PLANTED)
    named = tmp_path / inroot.__file__.lstrip("/")
    named.parent.mkdir(parents=True, exist_ok=True)
    named.write_text("# -*- coding: planted -*-\n" + "\n" * 999)
    program = [sys.executable, "-P", "-c", ENTERED.format(root=str(tmp_path)) + look]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert "planted" not in done.stdout, done.stderr
    assert done.returncode or "atexit" in look
