"""Vertex → op: the `OpResolver` that the daemon gives to the solver."""

from __future__ import annotations

from croze.errors import InvalidRequest
from croze.ops.build import BuildOp
from croze.ops.diff import DiffOp
from croze.ops.exec import ExecOp
from croze.ops.file import FileOp
from croze.ops.load import LoadedOp
from croze.ops.merge import MergeOp
from croze.ops.passthrough import PassthroughOp
from croze.ops.services import OpServices
from croze.ops.source import SourceOp
from croze.solver.contract import Op, Vertex


class LoadedOpResolver:
    """`OpResolver` over one daemon's services."""

    def __init__(self, services: OpServices) -> None:
        self.services = services

    def __call__(self, vertex: Vertex) -> Op:
        loaded = vertex.op
        if not isinstance(loaded, LoadedOp):
            raise InvalidRequest(f"could not resolve {vertex.name or vertex.digest}")
        return self._make(loaded, vertex)

    def _make(self, loaded: LoadedOp, vertex: Vertex) -> Op:
        op, services, input_count = loaded.op, self.services, len(vertex.inputs)
        match op.WhichOneof("op"):
            case "source":
                return SourceOp(services, op.source, loaded.platform)
            case "exec":
                return ExecOp(services, loaded, input_count, vertex.limits)
            case "file":
                return FileOp(services, op.file, input_count, loaded.data)
            case "merge":
                return MergeOp(services, op.merge)
            case "diff":
                return DiffOp(services, op.diff)
            case "build":
                return BuildOp(services, op.build, input_count)
            case "passthrough":
                return PassthroughOp(op.passthrough, input_count)
        raise InvalidRequest("no support for <nil>")
