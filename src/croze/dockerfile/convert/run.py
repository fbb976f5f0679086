"""RUN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.dockerfile.convert.bases import COMMAND_KEY
from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.mounts import run_mounts
from croze.dockerfile.convert.naming import expand_name, prefix_command, upper_keyword
from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.heredoc import chomp, parse_heredoc
from croze.dockerfile.instructions import ArgPair, Run, ShellFile
from croze.dockerfile.location import DockerfileError
from croze.llb import caps
from croze.llb import mounts as llb_mounts
from croze.llb.execop import Device
from croze.llb.fileop import mkfile
from croze.llb.meta import join_path
from croze.llb.mounts import AnyMount
from croze.llb.options import OpOptions
from croze.llb.state import State, scratch

_SCRIPT_DIR = "/dev/pipes/"


def dispatch_run(
    build: PlatformBuild, stage: StageState, run: Run, sources: Sequence[StageState]
) -> None:
    """RUN: the stage goes on with what the command leaves behind. `sources`: stages and images that
    its mounts are from."""
    stage.paths.add("/")  # a command may look at anything
    script = _read_script(stage, run)
    args = script.args
    if run.command.shell:
        args = stage.image.with_shell(args)
    env = stage.state.env
    mounts = [*script.mounts, *run_mounts(build, stage, run, sources)]
    if build.options.shm_size_bytes > 0 and build.has_cap(caps.EXEC_MOUNT_TMPFS_SIZE):
        size = build.options.shm_size_bytes
        mounts.append(llb_mounts.tmpfs("/dev/shm", size_bytes=size))
    inside = _surroundings(build, stage.state)
    exec = inside.run(
        args,
        mounts=mounts,
        proxy=build.proxy,
        devices=_devices(build, run),
        security=run.security,
        network=None if run.network == "default" else run.network,
        **_options(build, stage, run, script.name),
    )
    stage.state = stage.state.with_output(exec.root.output)
    command = _history_text(args, stage.build_args, env)
    stage.commit(f"RUN {command} # buildkit", layer=True, epoch=build.epoch)


class _Script:
    """What runs: words, and files that have to be there. `name` is for progress."""

    def __init__(self, args: tuple[str, ...], name: str, mounts: tuple[AnyMount, ...] = ()) -> None:
        self.args = args
        self.name = name
        self.mounts = mounts


def _read_script(stage: StageState, run: Run) -> _Script:
    """The command with its heredocs."""
    command = run.command
    if not command.files:
        return _Script(command.args, run.original)
    if len(command.args) != 1 or not command.shell:
        words = " ".join(command.args)
        raise DockerfileError(f"parsing produced an invalid run command: [{words}]")
    first = command.files[0]
    if parse_heredoc(command.args[0]) is None:
        return _Script((_with_documents(command.args[0], command.files),), run.original)
    data = chomp(first.data) if first.chomp else first.data
    name = f"{run.original} ({_summary(first.data)})"
    if stage.image.os != "windows" and data.startswith("#!"):
        script, mount = _script_file(first.name, data)
        return _Script((script,), name, (mount,))
    return _Script((data,), name)


def _script_file(name: str, data: str) -> tuple[str, AnyMount]:
    """A script that names its interpreter: becomes a file, and is run as such."""
    state = scratch().file(
        mkfile(name, data.encode("utf-8", "surrogateescape"), 0o755),
        name="[internal] preparing inline document",
    )
    mount = llb_mounts.bind(_SCRIPT_DIR, state, selector="/", readonly=True)
    return join_path(_SCRIPT_DIR, name), mount


def _with_documents(line: str, files: Sequence[ShellFile]) -> str:
    """The command as it was written, for the shell to read the heredocs itself."""
    return line + "".join(f"\n{file.data}{file.name}" for file in files)


def _summary(text: str) -> str:
    lines = text.strip().replace("\r\n", "\n").split("\n")
    return lines[0] + ("..." if len(lines) > 1 else "")


def _surroundings(build: PlatformBuild, state: State) -> State:
    """What the client asked for beside the command: limits, hosts, cgroup."""
    options = build.options
    if build.has_cap(caps.EXEC_ULIMIT):
        for limit in options.ulimits:
            state = state.add_ulimit(limit.name, limit.soft, limit.hard)
    for name, ip in options.extra_hosts:
        state = state.add_extra_host(name, ip)
    if options.cgroup_parent and build.has_cap(caps.EXEC_CGROUP_PARENT):
        state = state.cgroup_parent(options.cgroup_parent)
    return state


def _devices(build: PlatformBuild, run: Run) -> list[Device]:
    if not build.has_cap(caps.EXEC_CDI):
        return []
    if run.devices and not build.request.options.labs:
        raise DockerfileError(
            "device feature is only supported in Dockerfile frontend 1.14.0-labs or later"
        )
    own = [Device(d.name, not d.required) for d in run.devices]
    return [*build.options.devices, *own]


def _options(build: PlatformBuild, stage: StageState, run: Run, name: str) -> OpOptions:
    env = stage.state.env
    shown = upper_keyword(expand_name(build.shown_lex, name, _masked(run, env)))
    prefixed = prefix_command(
        stage,
        shown,
        with_platform=build.options.multi_platform,
        platform=stage.state.meta.platform,
        env=env,
    )
    options: OpOptions = {
        **build.at(run.location),
        "name": prefixed,
        "description": {COMMAND_KEY: run.original},
    }
    if stage.ignore_cache:
        options["ignore_cache"] = True
    if build.options.resources is not None and build.has_cap(caps.EXEC_RESOURCES):
        options["resources"] = build.options.resources
    return options


def _masked(run: Run, env: Mapping[str, str]) -> Mapping[str, str]:
    """The environment as it is shown: where a secret will be, stars."""
    stars = {m.env: "****" for m in run.mounts if m.type == "secret" and m.env is not None}
    return {**env, **stars} if stars else env


def _history_text(
    args: Sequence[str], build_args: Sequence[ArgPair], env: Mapping[str, str]
) -> str:
    """The command line, after the number and values of the arguments that it could see."""
    values = {a.key: f"{a.key}={env.get(a.key, a.value or '')}" for a in build_args}
    count = [f"|{len(values)}"] if values else []
    return " ".join([*count, *values.values(), *args])
