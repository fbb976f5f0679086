"""What a vertex is called in the progress output; BuildKit's names."""

from __future__ import annotations

from collections.abc import Sequence

from croze.api import ops_pb2
from croze.errors import InvalidRequest

CUSTOM_NAME = "llb.customname"
_LONGEST_PART = 1000
"""The most of an input's name within another: names of names of names could grow without end."""


def op_name(op: ops_pb2.Op, input_names: Sequence[str]) -> str:
    """The name of an op whose inputs are called `input_names`."""
    match op.WhichOneof("op"):
        case "source":
            return op.source.identifier
        case "exec":
            return " ".join(op.exec.meta.args)
        case "file":
            return ", ".join(filter(None, map(_action_name, op.file.actions)))
        case "build":
            return "build"
        case "merge":
            return f"merge ({', '.join(map(_part, input_names))})"
        case "diff":
            lower = _side(op.diff.lower.input, input_names)
            return f"diff {lower} -> {_side(op.diff.upper.input, input_names)}"
        case "passthrough":
            return f"passthrough {op.passthrough.id}"
    return "unknown"


def _side(index: int, input_names: Sequence[str]) -> str:
    if index == -1:
        return "scratch"
    if not 0 <= index < len(input_names):
        raise InvalidRequest(f"invalid diff input index {index}")
    return f"({_part(input_names[index])})"


def _part(name: str) -> str:
    return name if len(name) <= _LONGEST_PART else f"{name[:_LONGEST_PART]}..."


def _action_name(action: ops_pb2.FileAction) -> str:
    match action.WhichOneof("action"):
        case "mkdir":
            return f"mkdir {action.mkdir.path}"
        case "mkfile":
            return f"mkfile {action.mkfile.path}"
        case "symlink":
            return f"symlink {action.symlink.newpath} -> {action.symlink.oldpath}"
        case "rm":
            return f"rm {action.rm.path}"
        case "copy":
            return f"copy {action.copy.src} {action.copy.dest}"
    return ""
