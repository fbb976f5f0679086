"""`RUN --mount`: binds, caches, tmpfs, secrets and ssh agents."""

from __future__ import annotations

from collections.abc import Sequence

from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.instructions import Run, RunMount
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.subrequests import OutlineUse
from croze.fs.paths import base
from croze.gotypes.quote import quote
from croze.llb import caps
from croze.llb import mounts as llb_mounts
from croze.llb.fileop import Owner, mkdir
from croze.llb.meta import clean_path, join_path
from croze.llb.mounts import AnyMount, Secret, Sharing, SshSocket
from croze.llb.state import State, scratch

_SHARING: dict[str, Sharing] = {"private": "private", "locked": "locked"}


def run_mounts(
    build: PlatformBuild, stage: StageState, run: Run, sources: Sequence[StageState]
) -> list[AnyMount]:
    """The mounts of a RUN, in order; notes what they use of other stages and contexts."""
    pairs = zip(run.mounts, sources, strict=True)
    return [_mount(build, stage, run, mount, source) for mount, source in pairs]


def _mount(
    build: PlatformBuild, stage: StageState, run: Run, mount: RunMount, source: StageState
) -> AnyMount:
    from_stage = bool(mount.from_) or mount.type == "cache"
    if from_stage and not source.dispatched:
        name = mount.from_ or "scratch"
        raise DockerfileError(
            f"cannot mount from stage {quote(name)} to {quote(mount.target)},"
            " stage needs to be defined before current command"
        )
    match mount.type:
        case "secret":
            return _secret(stage, run, mount)
        case "ssh":
            return _ssh(stage, run, mount)
    state = source.state if from_stage else build.context
    filesystem = _filesystem(build, stage, mount, scratch() if mount.type == "tmpfs" else state)
    used = join_path("/", mount.source)
    (source.paths if from_stage else stage.context_paths).add(used)
    return filesystem


def _filesystem(
    build: PlatformBuild, stage: StageState, mount: RunMount, state: State
) -> llb_mounts.Mount:
    target = _target(stage, mount)
    selector = join_path("/", mount.source)
    if selector == "/":
        selector = ""
        if (mount.uid, mount.gid, mount.mode) != (None, None, None):
            state, selector = _owned(mount, state), "/cache"
    is_cache = mount.type == "cache"
    discards = mount.type == "bind" and build.has_cap(caps.EXEC_MOUNT_BIND_NO_OUTPUT)
    cache_id = f"{build.options.cache_namespace}/{mount.id or clean_path(mount.target)}"
    return llb_mounts.Mount(
        target,
        state.output,
        selector=selector,
        readonly=mount.readonly,
        no_output=discards and not mount.readonly,
        cache_id=cache_id if is_cache else "",
        sharing=_SHARING.get(mount.sharing, "shared"),
        tmpfs=mount.type == "tmpfs",
        size_bytes=mount.size_bytes if mount.type == "tmpfs" else 0,
    )


def _target(stage: StageState, mount: RunMount) -> str:
    target = mount.target
    if not clean_path(target).startswith("/"):
        target = join_path("/", stage.state.cwd, target)
    if target == "/":
        raise DockerfileError(f"invalid mount target {quote(target)}")
    return target


def _owned(mount: RunMount, state: State) -> State:
    """A directory with the wanted owner and mode for a cache to start with."""
    mode = 0o755 if mount.mode is None else mount.mode
    owner = Owner(mount.uid or 0, mount.gid or 0)
    name = "[internal] setting cache mount permissions"
    return state.file(mkdir("/cache", mode, owner=owner), name=name)


def _secret(stage: StageState, run: Run, mount: RunMount) -> Secret:
    id = mount.source or mount.id
    if not id:
        if not mount.target:
            raise DockerfileError("one of source, target required")
        id = base(mount.target)
    target: str | None = mount.target or None
    if mount.env is None and target is None:
        target = f"/run/secrets/{base(id)}"
    use = OutlineUse(id, mount.required, run.location)
    stage.outline.secrets.setdefault(id, use)
    return Secret(
        id,
        target,
        mount.env,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
        mode=0o400 if mount.mode is None else mount.mode,
        optional=not mount.required,
    )


def _ssh(stage: StageState, run: Run, mount: RunMount) -> SshSocket:
    if mount.source:
        raise DockerfileError("ssh does not support source")
    id = mount.id or "default"
    stage.outline.ssh.setdefault(id, OutlineUse(id, mount.required, run.location))
    return SshSocket(
        mount.id,
        mount.target,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
        mode=0o600 if mount.mode is None else mount.mode,
        optional=not mount.required,
    )
