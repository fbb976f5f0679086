"""What a daemon and its workers load: a module costs a quarter of a millisecond, and 25 KB."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from msgspec import Struct

from croze.daemon.config import toml as config
from croze.daemon.engine.engine import WORK
from tests.support.work import unmeasured

MOST, MOST_ONCE_IT_ANSWERS, MOST_OF_A_WORKER = 345, 900, 470
"""Each is 25 KB for as long as its process lives. On Python 3.11 they are 321, 852 and 420; later
ones have more modules of their own, and so have other versions of libraries."""
OURS, OURS_ONCE_IT_ANSWERS, OURS_IN_A_WORKER = 126, 599, 178
"""How many of these are Croze's own, on any Python: with more, say here why. `store.snapshots`,
`sources.git`, `sources.local` and `runtime.networks` are folders, a module each, and `settled`
tells at the start what a power cut has taken; `fs.temporary` sweeps what a killed one left,
`files.installation` keeps an upgrade's modules out; `store.table` is not in one file with what a
record is, nor are `solver.calls` with a vertex and `build.exports` with a build; what workers make
of attestations, `export.predicates`, has its own, which the daemon names to them; `fs.mount` is
mount(2), `store.mount` what snapshots are mounted by, `digests` is one function for all,
`fs.tar.stepwise` what ADD reads archives with; and daemon and client ask token servers alike, by
`http.authorization`, `http.tokens` and `http.refusals`, beside which are `registry.challenges`."""
LATER = (
    *("croze.gateway", "croze.llb", "croze.ops", "croze.remotecache", "croze.sbom"),
    *("croze.registry", "croze.signatures", "croze.solver", "croze.sources", "croze.why"),
    *("aiohttp.client", "http.client", "cryptography", "tuf", "yaml"),
    *("croze.runtime.oci", "croze.session.manager", "croze.store.keys", "croze.store.refs"),
    *("croze.api.gateway_pb2", "croze.fs.tar", "croze.fs.tree", "croze.telemetry"),
    *("multiprocessing", "zipfile", "unittest", "random", "re2", "secrets"),
    *("shutil", "tempfile", "tomllib"),
    *("croze.bake", "croze.builders", "croze.cli", "croze.client", "croze.debug", "croze.drivers"),
    *("croze.engineapi", "croze.imagetools", "croze.policy", "croze.progress", "croze.rego"),
    *("croze.sdk", "grpc"),
    *("croze.api", "google.protobuf.descriptor", "google.rpc", "pickle"),
    *("email", "isal", "tarfile", "zlib_ng", "zstandard"),
)
"""What no start needs: it is imported where it is used, or once the daemon answers."""
NEVER = (
    *("grpc", "aiohttp.client", "croze.cli", "croze.client", "croze.engineapi"),
    *("email", "google.protobuf.json_format", "isal", "tarfile", "zlib_ng"),
)
"""What no build needs either, but for those that reach a network or fail."""
COUNT = """\
import dataclasses, json, sys
made, make = [], dataclasses._process_class
dataclasses._process_class = lambda cls, *rest: made.append(cls) or make(cls, *rest)
import croze.daemon.server
before = sorted(sys.modules)
import importlib
from croze.daemon.engine.opening import PARTS
for each in PARTS:
    importlib.import_module(each)
ours = [cls for cls in made if cls.__module__.startswith("croze.")]
print(json.dumps([before, sorted(sys.modules), len(ours)]))
"""

NOT_IN_A_WORKER = (
    *(
        "croze.daemon",
        "croze.ops.services",
        "croze.registry",
        "croze.rpc",
        "croze.session",
        "croze.solver",
    ),
    *("croze.sources", "croze.store", "aiohttp", "email", "google.protobuf.json_format", "grpc"),
    *("sqlite3", "tarfile"),
)
"""What neither files nor Dockerfiles need."""
WORKER = """\
import importlib, json, sys
import croze.workers.inside
for each in sys.argv[1:]:
    importlib.import_module(each)
print(json.dumps(sorted(sys.modules)))
"""


def test_it_loads_what_a_start_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT], env=unmeasured(), capture_output=True, check=True
    )
    before, after, dataclasses = json.loads(done.stdout)
    assert not set(LATER).intersection(before)
    assert len(before) < MOST
    assert ours(before) <= OURS
    assert not set(NEVER).intersection(after)
    assert len(after) < MOST_ONCE_IT_ANSWERS
    assert ours(after) <= OURS_ONCE_IT_ANSWERS
    assert dataclasses < 10


def test_it_has_workers_load_what_their_work_needs() -> None:
    words = [sys.executable, "-c", WORKER, *WORK]
    done = subprocess.run(words, env=unmeasured(), capture_output=True, check=True)
    loaded = json.loads(done.stdout)
    assert not set(NOT_IN_A_WORKER).intersection(loaded)
    assert len(loaded) < MOST_OF_A_WORKER
    assert ours(loaded) <= OURS_IN_A_WORKER


def test_its_settings_are_read_without_a_compiler() -> None:
    classes = [each for each in vars(config).values() if isinstance(each, type(Struct))]
    texts = [text for cls in classes for text in cls.__annotations__.values() if type(text) is str]
    assert len(classes) > 20
    assert texts == []


def ours(modules: Sequence[str]) -> int:
    return sum(name.partition(".")[0] == "croze" for name in modules)
