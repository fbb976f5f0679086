"""Is an op well formed? What BuildKit's `opsutils.Validate` refuses, with its words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.runtime.cgroup_parent import CgroupParent

ROOT = "/"
EMPTY = -1
"""An input index that means: nothing."""
SKIP_OUTPUT = -1


def validate(op: ops_pb2.Op) -> None:
    """Raises `InvalidRequest` saying what is wrong with `op`."""
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
