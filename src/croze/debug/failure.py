"""What a build came to, as a debugger's containers need it: its result, or the step that failed.

Source: buildx `build/result.go`.
"""

from __future__ import annotations

from typing import TypedDict

from google.protobuf.message import DecodeError
from msgspec import Struct

from croze.api import gateway_pb2, ops_pb2
from croze.debug.invocation import Invocation
from croze.errors import CrozeError, InvalidRequest, SolveDetail
from croze.files.settings import parse_json

CONFIG = "containerimage.config"
PLATFORMS = "refs.platforms"


class BuildOutcome(Struct, frozen=True):
    """What a build came to that has been evaluated: a result, or a step that failed."""

    ref: str
    """The ref of its result; empty if it has none, or if it failed."""
    config: bytes = b""
    """The image configuration, in JSON."""
    failed: SolveDetail | None = None

    def mounts(self, invocation: Invocation) -> list[ops_pb2.Mount]:
        """The mounts of a container on the outcome. Raises `InvalidRequest` if there can be
        none."""
        if self.failed is None:
            if invocation.initial:
                raise InvalidRequest(
                    "starting from the container from the initial state of the step is supported "
                    "only on the failed steps"
                )
            return [ops_pb2.Mount(dest="/", resultID=self.ref)]
        step = self.step()
        ids = self.failed.input_ids if invocation.initial else self.failed.mount_ids
        if len(ids) < len(step.mounts):
            raise InvalidRequest(
                "no result nor error is available: cannot start debug container: failing step has "
                f"no mount results available (got {len(ids)} of {len(step.mounts)})"
            )
        return [_on(mount, id) for mount, id in zip(step.mounts, ids, strict=False)]

    @property
    def network(self) -> ops_pb2.NetMode.ValueType:
        """The network that the failed step has; the usual one if none has failed."""
        return self.step().network if self.failed is not None else ops_pb2.UNSET

    def process(self, invocation: Invocation) -> ops_pb2.Meta:
        """The process of a container on the outcome: what runs, and as whom."""
        if self.failed is not None:
            own = self.step().meta
            return ops_pb2.Meta(
                args=invocation.command or own.args,
                env=[*own.env, *invocation.env],
                user=own.user if invocation.no_user else invocation.user,
                cwd=own.cwd if invocation.no_cwd else invocation.cwd,
            )
        image = _config(self.config)
        entrypoint = (
            image.get("Entrypoint") if invocation.entrypoint is None else invocation.entrypoint
        )
        cmd = image.get("Cmd") if invocation.no_cmd else invocation.cmd
        return ops_pb2.Meta(
            args=[*(entrypoint or ()), *(cmd or ())],
            env=[*(image.get("Env") or ()), *invocation.env],
            user=image.get("User", "") if invocation.no_user else invocation.user,
            cwd=image.get("WorkingDir", "") if invocation.no_cwd else invocation.cwd,
        )

    def step(self) -> ops_pb2.ExecOp:
        """The step that failed. Raises `InvalidRequest` if it runs nothing."""
        if self.failed is None:
            raise InvalidRequest("no result nor error is available: no error is available")
        op = failed_op(self.failed)
        if op.WhichOneof("op") != "exec":
            raise InvalidRequest("no result nor error is available: invoke: unsupported error type")
        return op.exec


def outcome_of(result: gateway_pb2.Result, failed: CrozeError | None) -> BuildOutcome | None:
    """The outcome with this result, or with this failure; None for a failure of which no step is
    known."""
    platform = _first_platform(result)
    suffix = f"/{platform}" if platform else ""
    config = result.metadata.get(f"{CONFIG}{suffix}") or result.metadata.get(CONFIG, b"")
    if failed is None:
        return BuildOutcome(_ref(result, platform), config)
    step = failed_step(failed)
    return BuildOutcome("", config, step) if step is not None else None


def failed_step(error: CrozeError) -> SolveDetail | None:
    """What the daemon says of the step that has failed, if one has."""
    return next((each for each in error.details if isinstance(each, SolveDetail)), None)


def failed_op(step: SolveDetail) -> ops_pb2.Op:
    """The op of a failed step; empty if it can't be read."""
    try:
        return ops_pb2.Op.FromString(step.op)
    except DecodeError:
        return ops_pb2.Op()


def _on(mount: ops_pb2.Mount, id: str) -> ops_pb2.Mount:
    mounted = ops_pb2.Mount(
        selector=mount.selector,
        dest=mount.dest,
        resultID=id,
        readonly=mount.readonly,
        mountType=mount.mountType,
    )
    for name in ("cacheOpt", "secretOpt", "SSHOpt"):
        if mount.HasField(name):
            getattr(mounted, name).CopyFrom(getattr(mount, name))
    return mounted


def _ref(result: gateway_pb2.Result, platform: str) -> str:
    if result.WhichOneof("result") == "ref":
        return result.ref.id
    refs = result.refs.refs
    if platform in refs:
        return refs[platform].id
    raise InvalidRequest(f"no reference found for {platform}")


def _first_platform(result: gateway_pb2.Result) -> str:
    """The id of the first platform; empty if the result is not told by platforms."""
    if result.WhichOneof("result") == "ref" or PLATFORMS not in result.metadata:
        return ""
    listed = parse_json(result.metadata[PLATFORMS])
    return str(listed["Platforms"][0]["ID"])


class _Image(TypedDict, total=False):
    """What an image's configuration says of its process."""

    Entrypoint: list[str] | None
    Cmd: list[str] | None
    Env: list[str] | None
    User: str
    WorkingDir: str


def _config(data: bytes) -> _Image:
    if not data:
        return {}
    config: _Image | None = parse_json(data).get("config")
    return config or {}
