"""Instructions that only change the image config and the environment of later steps."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from croze.dockerfile import lint_rules
from croze.dockerfile.convert.args import NON_ENV_ARGS
from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.checks import check_once, check_secret_name, check_variables
from croze.dockerfile.convert.go_text import list_text, quoted_list_text
from croze.dockerfile.convert.outline import ArgInfo
from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.instructions import (
    Arg,
    ArgPair,
    Cmd,
    Entrypoint,
    EnvInstruction,
    HealthcheckInstruction,
    Instruction,
    KeyValue,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
)
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import DockerfileError
from croze.errors import CrozeError
from croze.gotypes.duration import format_duration
from croze.gotypes.numbers import parse_int
from croze.image.config import Healthcheck

_NAMED_SIGNALS = """ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT
SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX"""
_SIGNALS = {
    *_NAMED_SIGNALS.split(),
    *(f"RTMIN+{n}" for n in range(1, 16)),
    *(f"RTMAX-{n}" for n in range(1, 15)),
}


def dispatch_env(
    build: PlatformBuild, stage: StageState, env: EnvInstruction, lint: Linter
) -> None:
    """ENV: for commands that follow, and in the image's config."""
    for pair in env.pairs:
        _check_legacy(env, pair, lint)
        check_secret_name("ENV", pair.key, env.location, lint)
        stage.state = stage.state.add_env(pair.key, pair.value)
        stage.image.env[pair.key] = pair.value
    _commit(build, stage, "ENV", *map(str, env.pairs))


def dispatch_label(build: PlatformBuild, stage: StageState, label: Label, lint: Linter) -> None:
    """LABEL: in the image's config alone."""
    for pair in label.pairs:
        _check_legacy(label, pair, lint)
        stage.image.labels[pair.key] = pair.value
    _commit(build, stage, "LABEL", *map(str, label.pairs))


def dispatch_arg(build: PlatformBuild, stage: StageState, arg: Arg, lint: Linter) -> None:
    """ARG: its value is the client's, an outer ARG's or the default, and is in the environment of
    the commands that follow."""
    texts: list[str] = []
    for declared in arg.args:
        check_secret_name("ARG", declared.key, arg.location, lint)
        pair, inherited = _arg_value(build, stage, arg, declared, lint)
        if pair.value is not None and pair.key not in NON_ENV_ARGS:
            stage.state = stage.state.add_env(pair.key, pair.value)
        if not inherited:
            info = ArgInfo(pair, arg.location, pair.value or "")
            stage.outline.args[pair.key] = info
        stage.outline.used.add(pair.key)
        stage.build_args.append(pair)
        stage.declared.add(pair.key)
        texts.append(pair.key if pair.value is None else f"{pair.key}={pair.value}")
    _commit(build, stage, "ARG", *texts)


def _arg_value(
    build: PlatformBuild, stage: StageState, arg: Arg, pair: ArgPair, lint: Linter
) -> tuple[ArgPair, bool]:
    """The argument with the value that was given, its own default, or that of the global ARG of
    the same name; True for the last."""
    build_arg = build.build_args.get(pair.key)
    if build_arg is not None:
        return replace(pair, value=build_arg), False
    if pair.value is None:
        inherited = build.global_args.get(pair.key)
        return replace(pair, value=inherited), inherited is not None
    env = stage.state.env
    expanded = build.lex.attempt(pair.value, env)
    check_variables(expanded.unmatched, stage.declared, env, arg.location, lint)
    if expanded.error is not None:
        raise expanded.error
    return replace(pair, value=expanded.result), False


def dispatch_cmd(build: PlatformBuild, stage: StageState, cmd: Cmd, lint: Linter) -> None:
    check_once(cmd, stage.once, lint)
    args = _command_line(stage, cmd, cmd.command.args, cmd.command.shell, lint)
    stage.image.cmd = args
    stage.image.args_escaped = True
    _commit(build, stage, "CMD", quoted_list_text(args))


def dispatch_entrypoint(
    build: PlatformBuild, stage: StageState, entrypoint: Entrypoint, lint: Linter
) -> None:
    """ENTRYPOINT: a CMD that came with the base image goes, as it was meant for another one."""
    check_once(entrypoint, stage.once, lint)
    command = entrypoint.command
    args = _command_line(stage, entrypoint, command.args, command.shell, lint)
    stage.image.entrypoint = args
    if "Cmd" not in stage.once:
        stage.image.cmd = ()
    _commit(build, stage, "ENTRYPOINT", quoted_list_text(args))


def _command_line(
    stage: StageState, instruction: Instruction, args: Sequence[str], shell: bool, lint: Linter
) -> tuple[str, ...]:
    if not shell:
        return tuple(args)
    if not stage.image.shell:
        lint.run(lint_rules.JSON_ARGS_RECOMMENDED, instruction.location, instruction.name)
    return stage.image.with_shell(args)


def dispatch_healthcheck(
    build: PlatformBuild, stage: StageState, healthcheck: HealthcheckInstruction, lint: Linter
) -> None:
    """HEALTHCHECK: what the history says of it is Go's `%v` of the struct."""
    check_once(healthcheck, stage.once, lint)
    config = healthcheck.config
    stage.image.healthcheck = Healthcheck(
        test=tuple(config.test),
        interval=config.interval_ns,
        timeout=config.timeout_ns,
        start_period=config.start_period_ns,
        start_interval=config.start_interval_ns,
        retries=config.retries,
    )
    text = (
        f"{{Test:{list_text(config.test)} Interval:{format_duration(config.interval_ns)}"
        f" Timeout:{format_duration(config.timeout_ns)}"
        f" StartPeriod:{format_duration(config.start_period_ns)}"
        f" StartInterval:{format_duration(config.start_interval_ns)} Retries:{config.retries}}}"
    )
    _commit(build, stage, "HEALTHCHECK", text)


def dispatch_user(build: PlatformBuild, stage: StageState, user: User) -> None:
    stage.state = stage.state.user(user.user)
    stage.image.user = user.user
    _commit(build, stage, "USER", user.user)


def dispatch_volume(build: PlatformBuild, stage: StageState, volume: Volume) -> None:
    if "" in volume.volumes:
        raise DockerfileError("VOLUME specified can not be an empty string")
    stage.image.volumes.update(volume.volumes)
    _commit(build, stage, "VOLUME", list_text(volume.volumes))


def dispatch_stop_signal(build: PlatformBuild, stage: StageState, stop: StopSignal) -> None:
    """STOPSIGNAL: a name or a number. Raises `DockerfileError` for what is neither."""
    if not _is_signal(stop.signal):
        raise DockerfileError(f"invalid signal: {stop.signal}")
    stage.image.stop_signal = stop.signal
    _commit(build, stage, "STOPSIGNAL", stop.signal)


def _is_signal(text: str) -> bool:
    try:
        return parse_int(text) != 0
    except CrozeError:
        return text.upper().removeprefix("SIG") in _SIGNALS


def dispatch_shell(build: PlatformBuild, stage: StageState, shell: Shell) -> None:
    stage.image.shell = shell.shell
    _commit(build, stage, "SHELL", list_text(shell.shell))


def dispatch_onbuild(stage: StageState, onbuild: Onbuild) -> None:
    """ONBUILD: kept as text, for builds that stand on this image."""
    stage.image.on_build.append(onbuild.expression)


def dispatch_maintainer(build: PlatformBuild, stage: StageState, maintainer: Maintainer) -> None:
    stage.image.author = maintainer.maintainer
    _commit(build, stage, "MAINTAINER", maintainer.maintainer)


def _commit(build: PlatformBuild, stage: StageState, *words: str) -> None:
    stage.commit(" ".join(words), epoch=build.epoch)


def _check_legacy(instruction: Instruction, pair: KeyValue, lint: Linter) -> None:
    if pair.legacy:
        rule = lint_rules.LEGACY_KEY_VALUE_FORMAT
        lint.run(rule, instruction.location, instruction.name)
