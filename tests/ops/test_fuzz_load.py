"""Definitions that no client would send: `CrozeError` or vertices, the same each time, in time and
memory that go with their size."""

from __future__ import annotations

import asyncio
import os
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.llb import definition as definitions
from croze.llb.marshal import marshal_op
from croze.ops.load import LoadOptions, fresh_cache_mounts, load
from croze.solver.contract import Vertex
from tests.support.settled import settled

FACTOR = int(os.environ.get("CROZE_FUZZ", "1"))
EFFORT = settings(
    max_examples=150 * FACTOR,
    deadline=1000,
    derandomize=FACTOR == 1,
    suppress_health_check=[HealthCheck.too_slow],
)
INDEXES = st.sampled_from([0, 0, 0, 1, -1, -2, 7, (1 << 31) - 1])
TEXTS = st.sampled_from(
    ["", "/", "a", "../..", "docker-image://a", "local://", "git://\0", "ü" * 9]
)


def source(draw: st.DrawFn) -> ops_pb2.Op:
    return ops_pb2.Op(source=ops_pb2.SourceOp(identifier=draw(TEXTS), attrs={draw(TEXTS): "x"}))


def run(draw: st.DrawFn) -> ops_pb2.Op:
    op = ops_pb2.Op()
    op.exec.meta.args.extend(draw(st.lists(TEXTS, max_size=2)))
    for _ in range(draw(st.integers(0, 3))):
        op.exec.mounts.add(
            input=draw(INDEXES),
            output=draw(INDEXES),
            dest=draw(TEXTS),
            selector=draw(TEXTS),
            mountType=draw(st.sampled_from([0, 1, 2, 3, 4, 99])),
        )
    return op


def file(draw: st.DrawFn) -> ops_pb2.Op:
    op = ops_pb2.Op()
    for _ in range(draw(st.integers(0, 3))):
        action = op.file.actions.add(
            input=draw(INDEXES), secondaryInput=draw(INDEXES), output=draw(INDEXES)
        )
        match draw(st.integers(0, 3)):
            case 0:
                action.mkdir.path = draw(TEXTS)
            case 1:
                action.copy.src = action.copy.dest = draw(TEXTS)
            case 2:
                action.rm.path = draw(TEXTS)
    return op


def merge(draw: st.DrawFn) -> ops_pb2.Op:
    op = ops_pb2.Op()
    for _ in range(draw(st.integers(0, 3))):
        op.merge.inputs.add(input=draw(INDEXES))
    return op


def diff(draw: st.DrawFn) -> ops_pb2.Op:
    op = ops_pb2.Op()
    op.diff.lower.input, op.diff.upper.input = draw(INDEXES), draw(INDEXES)
    return op


def nested(draw: st.DrawFn) -> ops_pb2.Op:
    op = ops_pb2.Op()
    op.build.builder = draw(INDEXES)
    getattr(op.build, "def").SetInParent()
    return op


KINDS = (source, run, file, merge, diff, nested, lambda draw: ops_pb2.Op())


@st.composite
def graphs(draw: st.DrawFn) -> ops_pb2.Definition:
    """Ops of all kinds that point at each other, or at nothing; some bytes are changed."""
    out, digests = ops_pb2.Definition(), ["sha256:" + "0" * 64, ""]
    for _ in range(draw(st.integers(0, 6))):
        op = draw(st.sampled_from(KINDS))(draw)
        for _ in range(draw(st.integers(0, 3))):
            chosen = draw(st.sampled_from(digests[-3:] if len(digests) > 2 else digests))
            op.inputs.add(digest=chosen, index=draw(INDEXES))
        data = bytearray(marshal_op(op))
        if data and draw(st.integers(0, 9)) == 0:
            data[draw(st.integers(0, len(data) - 1))] ^= 1 << draw(st.integers(0, 7))
        getattr(out, "def").append(bytes(data))
        digests.append(digest_of(bytes(data)))
        if draw(st.integers(0, 4)) == 0:
            metadata = out.metadata[digests[-1]]
            metadata.ignore_cache = draw(st.booleans())
            metadata.description[draw(TEXTS)] = draw(TEXTS)
            metadata.caps[draw(TEXTS)] = True
    return out


def loaded(definition: ops_pb2.Definition) -> Vertex:
    """Everything that is done with a definition before it is solved. It stays as it is."""
    copy = ops_pb2.Definition.FromString(definition.SerializeToString())
    fresh_cache_mounts(copy)
    definitions.load(copy).order()
    return asyncio.run(load(copy, LoadOptions(caps=frozenset({"a"})))).vertex


@EFFORT
@given(definition=graphs())
def test_any_graph_is_loaded_or_refused(definition: ops_pb2.Definition) -> None:
    vertex = settled(lambda: loaded(definition))
    if isinstance(vertex, Vertex):
        assert vertex.digest.startswith("sha256:")


@EFFORT
@given(blobs=st.lists(st.binary(max_size=200), max_size=4))
def test_any_bytes_are_loaded_or_refused(blobs: list[bytes]) -> None:
    out = ops_pb2.Definition()
    getattr(out, "def").extend([*blobs, *(blob + b"\x0a\x02\x0a\x00" for blob in blobs[:1])])
    settled(lambda: loaded(out))


def test_names_do_not_grow_with_the_paths_through_a_graph() -> None:
    """Forty merges of the same twice: a million million paths, and names that are made of names."""
    out = ops_pb2.Definition()
    last = marshal_op(ops_pb2.Op(source=ops_pb2.SourceOp(identifier="docker-image://a")))
    getattr(out, "def").append(last)
    for _ in range(40):
        op = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(last)) for _ in range(2)])
        op.merge.inputs.add(input=0)
        op.merge.inputs.add(input=1)
        last = marshal_op(op)
        getattr(out, "def").append(last)
    head = ops_pb2.Op(inputs=[ops_pb2.Input(digest=digest_of(last))])
    getattr(out, "def").append(marshal_op(head))
    started = time.process_time()
    vertex = loaded(out)
    assert vertex.name.startswith("merge (merge (")
    assert len(vertex.name) < 10_000
    assert time.process_time() - started < 2
