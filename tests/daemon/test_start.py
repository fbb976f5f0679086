"""What a daemon loads before it answers: each module costs it a quarter of a millisecond."""

from __future__ import annotations

import json
import subprocess
import sys

MOST = 905 if sys.version_info < (3, 12) else 925  # 901 on Python 3.11, a few more on 3.13
LATER = (
    *("aiohttp.client", "http.client", "cryptography", "tuf", "yaml"),
    *("multiprocessing", "zipfile", "unittest"),
    *("croze.bake", "croze.builders", "croze.cli", "croze.client", "croze.debug", "croze.drivers"),
    *("croze.engineapi", "croze.imagetools", "croze.policy", "croze.progress", "croze.rego"),
    *("croze.sdk",),
)
"""What no start needs: it is imported where it is used."""
COUNT = """\
import dataclasses, json, sys
made, make = [], dataclasses._process_class
dataclasses._process_class = lambda cls, *rest: made.append(cls) or make(cls, *rest)
import croze.daemon.server
ours = [cls for cls in made if cls.__module__.startswith("croze.")]
print(json.dumps([sorted(sys.modules), len(ours)]))
"""


def test_it_loads_what_a_start_needs() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, check=True)
    modules, dataclasses = json.loads(done.stdout)
    assert not set(LATER).intersection(modules)
    assert len(modules) < MOST
    assert dataclasses < 10
