"""`keys/NAME.json`: cache maps of ops."""

from __future__ import annotations

import asyncio
import base64
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from croze.api import ops_pb2
from croze.errors import CrozeError
from croze.fs.temporary import temporary_directory
from croze.llb.marshal import definition_of
from croze.ops.content import ContentDigests
from croze.ops.load import load
from croze.ops.resolver import LoadedOpResolver
from croze.ops.results import RefResult
from croze.ops.services import OpServices
from croze.ops.source import cache_digest
from croze.solver.contract import CacheMap, InputKeying, Vertex, cache_map_of
from croze.workers.shares import Shares
from tests.golden.case import Case
from tests.golden.difference import differences
from tests.ops.conftest import FakeContext, ThreadWorkers, TreeRef

FIXTURE = Path(__file__).parent / "data/cache/keys/fixture.tar"

_OTHER_KINDS = ("ops", "opts", "want", "shell", "ignore", "parser", "members", "summary")


def cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.json")):
        if path.stem in _OTHER_KINDS:
            continue
        corpus = json.loads(path.read_bytes())
        if isinstance(corpus, dict) and "ops" in corpus:
            yield Case("keys", path.stem, partial(_check, path, corpus))


def _check(path: Path, corpus: dict[str, Any]) -> list[str]:
    beside = path.with_name("fixture.tar")
    with (
        temporary_directory("golden") as root,
        tarfile.open(beside if beside.is_file() else FIXTURE) as tar,
    ):
        tar.extraction_filter = lambda member, _path: member  # which 3.11.2 does not know
        tar.extractall(Path(root, "tree"))
        return asyncio.run(_compare(corpus, TreeRef(Path(root, "tree"), Path(root, "side"))))


async def _compare(corpus: dict[str, Any], tree: TreeRef) -> list[str]:
    blobs = [base64.b64decode(op["op"]) for op in corpus["ops"]]
    found = await _vertices(definition_of(blobs))
    lines: list[str] = []
    for number, op in enumerate(corpus["ops"][:-1]):
        vertex = found[op["digest"]]
        want, got = await _maps(op, vertex, tree)
        lines += differences(op["name"], vertex.name, f"op {number}: name")
        lines += differences(want, got, f"op {number}")
    return lines


async def _vertices(definition: ops_pb2.Definition) -> dict[str, Vertex]:
    """All vertices by their digests."""
    found: dict[str, Vertex] = {}
    todo = [(await load(definition)).vertex]
    while todo:
        vertex = todo.pop()
        if vertex.digest not in found:
            found[vertex.digest] = vertex
            todo += [edge.vertex for edge in vertex.inputs]
    return found


async def _maps(op: dict[str, Any], vertex: Vertex, tree: TreeRef) -> tuple[Any, Any]:
    """An op's cache maps as wanted and as made. Of sources only the key's digest is made here."""
    maps = op.get("cache_maps", [])
    if not vertex.inputs and "source" in op["protojson"]:
        keys = ["".join(m["preimage"]["frames"]) for m in maps]
        made = [cache_digest(key.removeprefix("buildkit.source.v0:")) for key in keys]
        return [m["digest"] for m in maps], made
    ctx = FakeContext(vertex)
    try:
        got = await cache_map_of(LoadedOpResolver(_services())(vertex), ctx, 0)
    except CrozeError as err:
        return op.get("error"), str(err)
    if "error" in op or got is None:
        return op.get("error"), repr(got)
    return _wanted(maps[0]), await _made(got, ctx, tree)


def _wanted(expected: dict[str, Any]) -> dict[str, Any]:
    return {
        "digest": expected["digest"],
        "done": expected["done"],
        "deps": [
            {
                "selector": dep["selector"],
                "content_based": dep["content_based"],
                "preprocess": dep["preprocess"],
                "content": dep.get("fixture_content_digest", dep.get("fixture_content_error")),
            }
            for dep in expected.get("deps", ())
        ],
    }


async def _made(got: CacheMap, ctx: FakeContext, tree: TreeRef) -> dict[str, Any]:
    deps = [
        {
            "selector": keying.selector,
            "content_based": keying.content is not None,
            "preprocess": keying.prepare is not None,
            "content": await _content(keying, ctx, tree),
        }
        for keying in got.inputs
    ]
    return {"digest": got.digest, "done": got.done, "deps": deps}


async def _content(keying: InputKeying, ctx: FakeContext, tree: TreeRef) -> str | None:
    if keying.content is None:
        return None
    result: Any = RefResult(tree)  # type: ignore[arg-type]
    try:
        return await keying.content(result, ctx)
    except CrozeError as err:
        return str(err).replace(tree.id, "<ref>")


def _services() -> OpServices:
    none: Any = None
    mounting = Shares(2, 8)
    return OpServices(
        refs=none,
        executor=none,
        sources={},
        sessions=none,
        workers=none,
        scratch_dir=Path("/nonexistent"),
        contents=ContentDigests(ThreadWorkers(), mounting),
        mounting=mounting,
    )
