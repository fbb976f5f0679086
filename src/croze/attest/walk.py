"""From the vertices of a solved edge to what its result was made of."""

from __future__ import annotations

from collections.abc import Iterable

from croze.api import ops_pb2
from croze.attest.capture import Capture
from croze.errors import MissingMaterial
from croze.ops.exec import ExecOp
from croze.ops.load import LoadedOp
from croze.ops.source import SourceOp
from croze.runtime import proxied as proxy
from croze.solver.contract import Op, Vertex
from croze.sources.materials import HttpMaterial


def capture_of(vertices: Iterable[tuple[Vertex, Op | None]]) -> Capture:
    """All that stands below a result, as `Job.vertices` tells it."""
    capture = Capture()
    for vertex, op in vertices:
        if isinstance(op, SourceOp):
            _add_source(capture, op)
        elif isinstance(vertex.op, LoadedOp):
            _add_op(capture, vertex.op.op)
        if isinstance(op, ExecOp) and op.usage is not None:
            capture.usage[vertex.llb_digest or vertex.digest] = op.usage
        if isinstance(op, ExecOp) and op.capture is not None and isinstance(vertex.op, LoadedOp):
            _add_requests(capture, vertex, vertex.op.op.exec, op.capture)
    return capture


def _add_requests(
    capture: Capture, vertex: Vertex, op: ops_pb2.ExecOp, proxied: proxy.ProxyCapture
) -> None:
    capture.proxied = True
    for url, digest in proxied.sources():
        capture.add(HttpMaterial(url, digest))
    digest, command = vertex.llb_digest or vertex.digest, " ".join(op.meta.args)
    for each in proxied.uncaptured:
        capture.incomplete = True
        capture.uncaptured.append(
            MissingMaterial(command, each.reason, digest, each.method, each.url)
        )


def _add_source(capture: Capture, op: SourceOp) -> None:
    used = op.used()
    if used is None:
        return
    capture.add(used.material)
    for id in used.secrets:
        capture.add_secret(id, optional=True)
    for id in used.ssh:
        capture.add_ssh(id, optional=True)


def _add_op(capture: Capture, op: ops_pb2.Op) -> None:
    match op.WhichOneof("op"):
        case "exec":
            _add_exec(capture, op.exec)
        case "build":
            capture.incomplete = True  # what the nested build used is not known here


def _add_exec(capture: Capture, op: ops_pb2.ExecOp) -> None:
    for mount in op.mounts:
        if mount.mountType == ops_pb2.SECRET:
            capture.add_secret(mount.secretOpt.ID, optional=mount.secretOpt.optional)
        elif mount.mountType == ops_pb2.SSH:
            capture.add_ssh(mount.SSHOpt.ID, optional=mount.SSHOpt.optional)
    for env in op.secretenv:
        capture.add_secret(env.ID, optional=env.optional)
    capture.network |= op.network != ops_pb2.NONE
