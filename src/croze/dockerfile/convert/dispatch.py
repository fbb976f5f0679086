"""Walk the stages and turn each instruction into LLB and image config."""

from __future__ import annotations

from collections.abc import Mapping

from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.checks import check_variables
from croze.dockerfile.convert.copy import dispatch_add, dispatch_copy
from croze.dockerfile.convert.expose import dispatch_expose
from croze.dockerfile.convert.run import dispatch_run
from croze.dockerfile.convert.settings import (
    dispatch_arg,
    dispatch_cmd,
    dispatch_entrypoint,
    dispatch_env,
    dispatch_healthcheck,
    dispatch_label,
    dispatch_maintainer,
    dispatch_onbuild,
    dispatch_shell,
    dispatch_stop_signal,
    dispatch_user,
    dispatch_volume,
)
from croze.dockerfile.convert.stage import StageInstruction, StageState
from croze.dockerfile.convert.workdir import dispatch_workdir, set_workdir
from croze.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    EnvInstruction,
    Expose,
    HealthcheckInstruction,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
    expand,
    expand_raw,
)
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import with_location
from croze.dockerfile.shell import ShellLex
from croze.errors import CrozeError
from croze.fs.match.patterns import PatternMatcher
from croze.gotypes.booleans import parse_bool
from croze.image.platform import Platform

_RAW_LEX = ShellLex("\\", skip_process_quotes=True)


async def dispatch_stages(
    build: PlatformBuild, needed: Mapping[StageState, None], target: StageState
) -> set[str]:
    """Convert the stages that are needed; returns the paths used of the main context."""
    patterns = await build.contexts.ignore_patterns()
    build.ignore = PatternMatcher(patterns) if patterns else None
    context_paths: set[str] = set()
    for stage in list(build.stages.all):
        if build.request.all_stages or (stage in needed and not stage.dispatched):
            _dispatch_stage(build, stage)
            context_paths |= stage.context_paths
    # Only now: while stages were converted, this was what they used of each other.
    target.paths.add("/")
    return context_paths


def _dispatch_stage(build: PlatformBuild, stage: StageState) -> None:
    stage.inherit()
    stage.dispatched = True
    stage.platform = stage.platform or Platform("", "")
    _start_state(build, stage)
    for command in stage.commands:
        try:
            _dispatch(build, stage, command)
        except CrozeError as err:
            raise with_location(err, command.instruction.location) from None
    stage.scan_context = _scans(build, stage, "BUILDKIT_SBOM_SCAN_CONTEXT")
    stage.scan_stage = _scans(build, stage, "BUILDKIT_SBOM_SCAN_STAGE")


def _start_state(build: PlatformBuild, stage: StageState) -> None:
    """Environment, directory and user of the base image."""
    image, options = stage.image, build.options
    image.ensure_path(stage.platform.os if stage.platform is not None else "")
    stage.state = stage.state.add_envs(image.env)
    if options.hostname:
        stage.state = stage.state.hostname(options.hostname)
    if image.working_dir:
        try:
            set_workdir(stage, image.working_dir)
        except CrozeError as err:
            raise with_location(err, stage.stage.location) from None
    if image.user:
        stage.state = stage.state.user(image.user)
    stage.state = stage.state.network(options.network)


def _dispatch(build: PlatformBuild, stage: StageState, command: StageInstruction) -> None:
    lint = build.lint.for_comments(command.instruction.comments)
    stage.in_trigger = command.from_trigger
    instruction = _expand(build, stage, command.instruction, lint)
    match instruction:
        case Run():
            dispatch_run(build, stage, instruction, command.sources)
        case Copy():
            dispatch_copy(build, stage, instruction, command.sources, lint)
        case Add():
            dispatch_add(build, stage, instruction, lint)
        case Workdir():
            dispatch_workdir(build, stage, instruction, lint)
        case EnvInstruction():
            dispatch_env(build, stage, instruction, lint)
        case Arg():
            dispatch_arg(build, stage, instruction, lint)
        case Label():
            dispatch_label(build, stage, instruction, lint)
        case Expose():
            dispatch_expose(build, stage, instruction, lint)
        case Cmd():
            dispatch_cmd(build, stage, instruction, lint)
        case Entrypoint():
            dispatch_entrypoint(build, stage, instruction, lint)
        case HealthcheckInstruction():
            dispatch_healthcheck(build, stage, instruction, lint)
        case User():
            dispatch_user(build, stage, instruction)
        case Volume():
            dispatch_volume(build, stage, instruction)
        case StopSignal():
            dispatch_stop_signal(build, stage, instruction)
        case Shell():
            dispatch_shell(build, stage, instruction)
        case Onbuild():
            dispatch_onbuild(stage, instruction)
        case Maintainer():
            dispatch_maintainer(build, stage, instruction)


def _expand(
    build: PlatformBuild, stage: StageState, instruction: Instruction, lint: Linter
) -> Instruction:
    """Variables put in. ARG does it itself: a default that is not used may be wrong."""
    if isinstance(instruction, Arg):
        return instruction

    def expander(lex: ShellLex, word: str) -> str:
        env = stage.state.env
        expanded = lex.attempt(word, env)
        check_variables(expanded.unmatched, stage.declared, env, instruction.location, lint)
        if expanded.error is not None:
            raise expanded.error
        return expanded.result

    expanded = expand(instruction, lambda word: expander(build.lex, word))
    return expand_raw(expanded, lambda word: expander(_RAW_LEX, word))


def _scans(build: PlatformBuild, stage: StageState, key: str) -> bool:
    """Whether an argument names the stage, or all stages; its own ARGs have the last word."""
    values = [build.global_args[key]] if key in build.global_args else []
    values += [a.value for a in stage.build_args if a.key == key and a.value is not None]
    if not values:
        return False
    truth = parse_bool(values[-1])
    return truth if truth is not None else stage.name in values[-1].split(",")


def finish_image(build: PlatformBuild, target: StageState) -> None:
    """Labels of the client, and the platform that was asked for."""
    image = target.image
    image.labels.update(build.options.labels)
    if build.platforms.implicit:
        return
    to_build, has = build.platforms.target, image.platform
    same = (to_build.os, to_build.architecture) == (has.os, has.architecture)
    image.platform = replace_platform(to_build, has, same)


def replace_platform(target: Platform, has: Platform, same: bool) -> Platform:
    """The wanted platform, with the image's own details where only they are known."""
    return Platform(
        target.architecture,
        target.os,
        target.os_version or (has.os_version if same else ""),
        target.os_features or has.os_features,
        target.variant or (has.variant if same else ""),
    )
