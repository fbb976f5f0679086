"""Is an op well formed? What BuildKit's `opsutils.Validate` refuses, with its words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.runtime.cgroup_parent import CgroupParent

ROOT = "/"
EMPTY = -1
"""An input index that means: nothing."""
SKIP_OUTPUT = -1

MOST_PARTS: Final = 10_000
"""The most of one kind in one op. Each is looked at again and again, on the event loop, where all
others wait; and there are limits of the kernel to most of them."""
MOST_TEXTS: Final = 50_000
"""Arguments and variables, of which the kernel takes a few megabytes."""
MOST_BYTES: Final = 4 << 20
"""The most of an op, but for the files in it. The kernel takes an argument of 128 KiB, and a path
of 4."""
SMALL_BYTES: Final = 2 * MOST_PARTS
"""An op of no more bytes has not too much of anything."""


def check_size(op: ops_pb2.Op) -> None:
    """See that an op does not take too long to check, whatever is in it. Raises
    `InvalidRequest`."""
    for name, count, most in _parts(op):
        if count > most:
            raise InvalidRequest(f"invalid op with {count} {name}: at most {most} are taken")
    files = (action.mkfile.data for action in op.file.actions if action.HasField("mkfile"))
    size = op.ByteSize() - sum(map(len, files))
    if size > MOST_BYTES:
        raise InvalidRequest(f"invalid op of {size} bytes: at most {MOST_BYTES} are taken")


def _parts(op: ops_pb2.Op) -> Iterator[tuple[str, int, int]]:
    """What there may be too much of: its name, how many there are, and may be."""
    run, meta = op.exec, op.exec.meta
    yield "arguments", len(meta.args), MOST_TEXTS
    yield "environment variables", len(meta.env), MOST_TEXTS
    yield "inputs", len(op.inputs), MOST_PARTS
    yield "mounts", len(run.mounts), MOST_PARTS
    yield "secrets", len(run.secretenv), MOST_PARTS
    yield "devices", len(run.cdiDevices), MOST_PARTS
    yield "extra hosts", len(meta.extraHosts), MOST_PARTS
    yield "ulimits", len(meta.ulimit), MOST_PARTS
    yield "actions", len(op.file.actions), MOST_PARTS
    yield "attributes", max(len(op.source.attrs), len(op.build.attrs)), MOST_PARTS
    yield "outputs", len(op.passthrough.outputs), MOST_PARTS


def validate(op: ops_pb2.Op) -> None:
    """See that an op is well formed. Raises `InvalidRequest` saying what is wrong with it."""
    kind = op.WhichOneof("op")
    if kind is not None:
        check = _CHECKS.get(kind)
        problem = check(op) if check else ""
        if problem:
            raise InvalidRequest(problem)


def _exec(op: ops_pb2.Op) -> str:
    if not op.exec.HasField("meta"):
        return "invalid exec op with no meta"
    if not op.exec.meta.args:
        return "invalid exec op with no args"
    if not op.exec.mounts:
        return "invalid exec op with no mounts"
    if all(m.dest != ROOT for m in op.exec.mounts):
        return "invalid exec op with no rootfs"
    CgroupParent.parse(op.exec.meta.cgroupParent)
    return ""


def _file(op: ops_pb2.Op) -> str:
    return "" if op.file.actions else "invalid file op with no actions"


def _diff(op: ops_pb2.Op) -> str:
    both = op.diff.HasField("lower") and op.diff.HasField("upper")
    return "" if both else "invalid diff op with nil lower or upper input"


def _passthrough(op: ops_pb2.Op) -> str:
    if not op.passthrough.id:
        return "invalid passthrough op with no id"
    if not op.passthrough.outputs:
        return "invalid passthrough op with no outputs"
    for index in op.passthrough.outputs:
        if index < 0 or index >= len(op.inputs):
            return f"invalid passthrough output input index {index}"
    return ""


_CHECKS: Mapping[str, Callable[[ops_pb2.Op], str]] = {
    "exec": _exec,
    "file": _file,
    "diff": _diff,
    "passthrough": _passthrough,
}
