"""What a daemon loads before it answers, and after: a module costs a quarter of a millisecond."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.work import unmeasured

MOST = 537 if sys.version_info < (3, 12) else 561  # 533 on Python 3.11, a few more on 3.13
LATER = (
    *("croze.gateway", "croze.llb", "croze.ops", "croze.remotecache", "croze.sbom"),
    *("croze.registry", "croze.signatures", "croze.solver", "croze.sources", "croze.why"),
    *("aiohttp.client", "http.client", "cryptography", "tuf", "yaml"),
    *("multiprocessing", "zipfile", "unittest"),
    *("croze.bake", "croze.builders", "croze.cli", "croze.client", "croze.debug", "croze.drivers"),
    *("croze.engineapi", "croze.imagetools", "croze.policy", "croze.progress", "croze.rego"),
    *("croze.sdk", "grpc"),
)
"""What no start needs: it is imported where it is used, or once the daemon answers."""
NEVER = ("grpc", "aiohttp.client", "croze.cli", "croze.client", "croze.engineapi")
"""What no build needs either."""
COUNT = """\
import dataclasses, json, sys
made, make = [], dataclasses._process_class
dataclasses._process_class = lambda cls, *rest: made.append(cls) or make(cls, *rest)
import croze.daemon.server
before = sorted(sys.modules)
import importlib
from croze.daemon.opening import PARTS
for each in PARTS:
    importlib.import_module(each)
ours = [cls for cls in made if cls.__module__.startswith("croze.")]
print(json.dumps([before, sorted(sys.modules), len(ours)]))
"""


def test_it_loads_what_a_start_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=unmeasured(), capture_output=True, check=True
    )
    before, after, dataclasses = json.loads(done.stdout)
    assert not set(LATER).intersection(before)
    assert len(before) < MOST
    assert not set(NEVER).intersection(after)
    assert dataclasses < 10
