"""Cache maps against what BuildKit computed, for every definition of the corpus."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from croze.api import ops_pb2
from croze.errors import CrozeError
from croze.ops.content import ContentDigests
from croze.ops.load import load
from croze.ops.resolver import LoadedOpResolver
from croze.ops.results import RefResult
from croze.ops.services import OpServices
from croze.ops.source import cache_digest
from croze.solver.contract import CacheMap, InputKeying, Vertex, cache_map_of
from tests.ops.conftest import FakeContext, TreeRef

DATA = Path(__file__).resolve().parent.parent / "golden/data/cache/keys"
CASES = sorted(p.stem for p in DATA.glob("*.json"))


@pytest.fixture(scope="session")
def fixture_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "tree"
    with tarfile.open(DATA / "fixture.tar") as tar:
        tar.extraction_filter = lambda member, _path: member  # which 3.11.2 does not know
        tar.extractall(path)
    return path


def definition(case: Mapping[str, Any]) -> ops_pb2.Definition:
    out = ops_pb2.Definition()
    getattr(out, "def").extend(base64.b64decode(op["op"]) for op in case["ops"])
    return out


async def vertices(case: Mapping[str, Any]) -> dict[str, Vertex]:
    """All vertices of a case by their digests."""
    found: dict[str, Vertex] = {}
    todo = [(await load(definition(case))).vertex]
    while todo:
        vertex = todo.pop()
        if vertex.digest not in found:
            found[vertex.digest] = vertex
            todo += [e.vertex for e in vertex.inputs]
    return found


def services(contents: ContentDigests) -> OpServices:
    none: Any = None
    return OpServices(
        refs=none,
        executor=none,
        sources={},
        sessions=none,
        workers=none,
        scratch_dir=Path("/nonexistent"),
        contents=contents,
    )


@pytest.mark.parametrize("name", CASES)
async def test_cache_maps(
    name: str, contents: ContentDigests, fixture_tree: Path, tmp_path: Path
) -> None:
    case = json.loads((DATA / f"{name}.json").read_text())
    loaded = await vertices(case)
    for op in case["ops"][:-1]:
        vertex = loaded[op["digest"]]
        assert vertex.name == op["name"]
        if vertex.inputs or op["protojson"].get("source") is None:
            await check_op(op, vertex, contents, TreeRef(fixture_tree, tmp_path))
        else:
            check_source(op)


def check_source(op: Mapping[str, Any]) -> None:
    """What the op makes of its source's key; the keys are the sources' own affair."""
    for expected in op.get("cache_maps", ()):
        (frame,) = expected["preimage"]["frames"]
        key = frame.removeprefix("buildkit.source.v0:")
        assert cache_digest(key) == expected["digest"]


async def check_op(
    op: Mapping[str, Any], vertex: Vertex, contents: ContentDigests, tree: TreeRef
) -> None:
    made = LoadedOpResolver(services(contents))(vertex)
    ctx = FakeContext(vertex)
    if "error" in op:
        with pytest.raises(CrozeError) as caught:
            await cache_map_of(made, ctx, 0)
        assert str(caught.value) == op["error"]
        return
    (expected,) = op["cache_maps"]
    found = await cache_map_of(made, ctx, 0)
    assert isinstance(found, CacheMap)
    assert (found.digest, found.done) == (expected["digest"], expected["done"])
    assert len(found.inputs) == len(expected.get("deps", ()))
    for keying, dep in zip(found.inputs, expected.get("deps", ()), strict=True):
        await check_input(keying, dep, ctx, tree)


async def check_input(
    keying: InputKeying, dep: Mapping[str, Any], ctx: FakeContext, tree: TreeRef
) -> None:
    assert keying.selector == dep["selector"]
    assert (keying.content is not None) == dep["content_based"]
    assert (keying.prepare is not None) == dep["preprocess"]
    if keying.content is None:
        return
    result: Any = RefResult(tree)  # type: ignore[arg-type]
    if "fixture_content_error" in dep:
        with pytest.raises(CrozeError) as caught:
            await keying.content(result, ctx)
        assert str(caught.value).replace(tree.id, "<ref>") == dep["fixture_content_error"]
    else:
        assert await keying.content(result, ctx) == dep["fixture_content_digest"]
