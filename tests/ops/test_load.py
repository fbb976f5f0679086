"""Definitions from clients: good ones, odd ones and hostile ones."""

from __future__ import annotations

import asyncio
import time

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.daemon.build.entitlements import DeviceGrant, Entitlements
from croze.digests import digest_of
from croze.errors import InvalidRequest, PermissionDenied, Unsupported
from croze.llb.marshal import definition_of, marshal_op
from croze.ops.load import LoadedOp, LoadOptions, load, uncached_digest
from croze.ops.validate import MOST_BYTES, MOST_PARTS, MOST_TEXTS
from croze.runtime.cdi import Devices
from croze.solver.contract import Vertex


def source(identifier: str = "docker-image://a") -> ops_pb2.Op:
    return ops_pb2.Op(source=ops_pb2.SourceOp(identifier=identifier))


def exec_op(*inputs: str, **fields: object) -> ops_pb2.Op:
    op = ops_pb2.Op(inputs=[ops_pb2.Input(digest=i) for i in inputs])
    op.exec.meta.args.extend(["sh", "-c", "x"])
    op.exec.mounts.add(dest="/")
    return op


def definition(*ops: ops_pb2.Op, head: bool = True) -> ops_pb2.Definition:
    """The ops in this order, and an op that points at the last one."""
    out = ops_pb2.Definition()
    data = [marshal_op(op) for op in ops]
    if head:
        last = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(data[-1]))])
        data.append(marshal_op(last))
    getattr(out, "def").extend(data)
    return out


def dgst(op: ops_pb2.Op) -> str:
    return digest_of(marshal_op(op))


async def vertex(d: ops_pb2.Definition, options: LoadOptions | None = None) -> Vertex:
    return (await load(d, options)).vertex


async def test_names() -> None:
    base = llb.source("tree://x", {})
    state = base.file(llb.mkdir("/a").mkfile("/b", "").rm("/c").symlink("o", "/n"))
    copied = base.file(llb.copy(state, "/a", "/b"))
    assert (await vertex(copied.marshal())).name == "copy /a /b"
    made = (await vertex(state.marshal())).name
    assert made == "mkdir /a, mkfile /b, rm /c, symlink /n -> o"
    merged = await vertex(llb.merge([base, state]).marshal())
    assert merged.name == f"merge (tree://x, {made})"
    diffed = await vertex(llb.diff(base, state).marshal())
    assert diffed.name == f"diff (tree://x) -> ({made})"
    run = base.run(["echo", "a b"], name="mine").root
    assert (await vertex(run.marshal())).name == "mine"


async def test_ignore_cache_is_another_vertex() -> None:
    d = llb.source("tree://x", {}).run("true", ignore_cache=True).root.marshal()
    found = await vertex(d)
    assert found.ignore_cache
    assert found.digest == uncached_digest(found.llb_digest)
    assert not found.inputs[0].vertex.ignore_cache
    everything = await vertex(d, LoadOptions(ignore_cache=True))
    assert everything.inputs[0].vertex.ignore_cache


async def test_metadata() -> None:
    d = llb.source("tree://x", {}).run(
        "true",
        export_cache=False,
        description={"k": "v"},
    )
    found = await vertex(d.root.marshal())
    assert found.export_cache is False
    assert found.description["k"] == "v"
    assert isinstance(found.op, LoadedOp)
    assert found.inputs[0].vertex.export_cache is None


async def test_the_same_op_is_one_vertex() -> None:
    base = llb.source("tree://x", {})
    found = await vertex(llb.merge([base.file(llb.mkdir("/a")), base]).marshal())
    assert found.inputs[0].vertex.inputs[0].vertex is found.inputs[1].vertex


async def test_ten_thousand_vertices_in_any_order() -> None:
    ops = [source()]
    for _ in range(10_000):
        ops.append(exec_op(dgst(ops[-1])))
    good = definition(*ops)
    shuffled = ops_pb2.Definition()
    data = list(getattr(good, "def"))
    getattr(shuffled, "def").extend([*data[:-1][::-1], data[-1]])
    begin = time.process_time()
    assert (await vertex(good)) == (await vertex(shuffled))
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (ops_pb2.Definition(), "invalid empty definition"),
        (definition(source(), head=False), "invalid LLB with 1 vertexes"),
        (definition(source("a"), source("b"), head=False), "invalid LLB with no inputs"),
        (definition(exec_op("sha256:gone")), "invalid missing input digest sha256:gone"),
        (
            definition(ops_pb2.Op(inputs=[ops_pb2.Input(digest=dgst(source()), index=-1)])),
            "invalid input 0 output index -1",
        ),
        (definition(ops_pb2.Op(exec=ops_pb2.ExecOp())), "invalid exec op with no meta"),
        (definition(ops_pb2.Op(file=ops_pb2.FileOp())), "invalid file op with no actions"),
        (definition(ops_pb2.Op(diff=ops_pb2.DiffOp())), "invalid diff op with nil lower"),
        (
            definition(ops_pb2.Op(passthrough=ops_pb2.PassthroughOp(id="x", outputs=[0]))),
            "invalid passthrough output input index 0",
        ),
    ],
)
async def test_what_is_refused(bad: ops_pb2.Definition, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        await load(bad)


def too_much() -> dict[str, ops_pb2.Op]:
    """Of what the kernel takes little, and what the daemon would look at again and again."""
    args, mounts, long = exec_op(), exec_op(), exec_op()
    args.exec.meta.args.extend(["x"] * MOST_TEXTS)
    mounts.exec.mounts.extend([ops_pb2.Mount(dest="/a")] * MOST_PARTS)
    long.exec.meta.args.append("x" * MOST_BYTES)
    copies, attrs = ops_pb2.Op(), source()
    copies.file.actions.extend([ops_pb2.FileAction()] * (MOST_PARTS + 1))
    attrs.source.attrs.update({f"x{number}": "" for number in range(MOST_PARTS + 1)})
    return {
        f"{MOST_TEXTS + 3} arguments: at most {MOST_TEXTS}": args,
        f"{MOST_PARTS + 1} mounts: at most {MOST_PARTS}": mounts,
        f"{MOST_PARTS + 1} actions": copies,
        f"{MOST_PARTS + 1} attributes": attrs,
        f"bytes: at most {MOST_BYTES}": long,
    }


@pytest.mark.parametrize("message", too_much())
async def test_what_there_may_be_too_much_of(message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"failed to load LLB: invalid op .*{message}"):
        await load(definition(too_much()[message]))


async def test_files_are_as_large_as_a_message() -> None:
    op = ops_pb2.Op()
    op.file.actions.add(input=-1, secondaryInput=-1).mkfile.data = bytes(2 * MOST_BYTES)
    await load(definition(op))


async def test_others_get_their_turns() -> None:
    """While a definition of very many ops is looked at."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with asyncio.TaskGroup() as group:
        task = group.create_task(other())
        with pytest.raises(InvalidRequest, match="invalid LLB with 1 vertexes"):
            await load(definition(*[ops_pb2.Op()] * 5000, head=False))
        task.cancel()
    assert turns >= 5


async def test_capabilities() -> None:
    d = llb.source("tree://x", {}, "source.future").file(llb.mkdir("/a")).marshal()
    caps = frozenset({"file.base", "constraints", "platform", "meta.description"})
    with pytest.raises(Unsupported, match=r"unknown API capability source\.future"):
        await load(d, LoadOptions(caps=caps))
    await load(d, LoadOptions(caps=caps | {"source.future"}))


async def test_a_check_may_refuse() -> None:
    def check(op: ops_pb2.Op) -> ops_pb2.Op:
        if op.exec.network == ops_pb2.HOST:
            raise PermissionDenied("network.host is not allowed")
        return op

    base = llb.source("tree://x", {})
    await load(base.run("true").root.marshal(), LoadOptions(check=check))
    with pytest.raises(PermissionDenied):
        await load(base.run("true", network="host").root.marshal(), LoadOptions(check=check))


async def test_what_a_check_makes_of_an_op_is_for_one_build() -> None:
    """As the daemon's does with devices: by one build's grants, which the next one lacks."""
    step = exec_op()
    step.exec.cdiDevices.add(name="alias")

    async def devices(entitlements: Entitlements | None) -> list[str]:
        options = LoadOptions(check=entitlements.check if entitlements else None)
        loaded = (await vertex(definition(step), options)).op
        assert isinstance(loaded, LoadedOp)
        return [device.name for device in loaded.op.exec.cdiDevices]

    grants = DeviceGrant.parse("x.example/dev=a,alias=alias")
    granted = Entitlements(frozenset({"device"}), Devices([]), grants)
    assert await devices(granted) == ["x.example/dev=a"]
    assert await devices(None) == ["alias"]


async def test_a_policy_replaces_sources() -> None:
    async def policy(op: ops_pb2.Op) -> ops_pb2.SourceOp | None:
        if op.source.identifier != "tree://x":
            return None
        return ops_pb2.SourceOp(identifier="tree://y")

    def state(name: str) -> llb.State:
        return llb.source(name, {}).file(llb.mkdir("/a"))

    before = await vertex(state("tree://x").marshal())
    changed = await vertex(state("tree://x").marshal(), LoadOptions(policy=policy))
    assert changed == await vertex(state("tree://y").marshal())
    assert changed.inputs[0].vertex.name == "tree://y"
    after = await vertex(state("tree://x").marshal())
    assert after == before
    assert after.inputs[0].vertex.name == before.inputs[0].vertex.name == "tree://x"


async def test_a_policy_is_asked_about_all_sources_at_once() -> None:
    """A client may hold back one answer until it has been asked about another source."""
    both = asyncio.Event()
    asked: set[str] = set()

    async def policy(op: ops_pb2.Op) -> ops_pb2.SourceOp | None:
        asked.add(op.source.identifier)
        if len(asked) == 2:
            both.set()
        await both.wait()
        return None

    states = [llb.source(f"tree://{name}", {}) for name in ("x", "y")]
    await load(llb.merge(states).marshal(), LoadOptions(policy=policy))

    async def refuse(op: ops_pb2.Op) -> ops_pb2.SourceOp | None:
        raise PermissionDenied("no")

    with pytest.raises(PermissionDenied, match="no"):
        await load(llb.merge(states).marshal(), LoadOptions(policy=refuse))


async def test_of_several_wrong_ops_the_outermost_is_told() -> None:
    inner = ops_pb2.Op(file=ops_pb2.FileOp())
    outer = ops_pb2.Op(
        exec=ops_pb2.ExecOp(), inputs=[ops_pb2.Input(digest=digest_of(marshal_op(inner)))]
    )
    last = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(marshal_op(outer)))])
    with pytest.raises(InvalidRequest, match="invalid exec op with no meta"):
        await load(definition_of([marshal_op(each) for each in (inner, outer, last)]))


async def test_what_nothing_needs_must_have_its_inputs_too() -> None:
    stray = ops_pb2.Op(merge=ops_pb2.MergeOp(), inputs=[ops_pb2.Input(digest="sha256:0")])
    source = ops_pb2.Op(source=ops_pb2.SourceOp(identifier="local://x"))
    last = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(marshal_op(source)))])
    with pytest.raises(InvalidRequest, match="invalid missing input digest sha256:0"):
        await load(definition_of([marshal_op(each) for each in (stray, source, last)]))
