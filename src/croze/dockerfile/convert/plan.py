"""From parsed stages to the graph of stages that the target needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec.structs import replace

from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.checks import (
    check_constant_platform,
    check_from_args,
    check_redundant_platform,
)
from croze.dockerfile.convert.outline import OutlineCapture
from croze.dockerfile.convert.stage import (
    StageInstruction,
    StageList,
    StageState,
    external_image,
    find_cycle,
)
from croze.dockerfile.instructions import Add, Copy, Instruction, Run, Stage, Workdir
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import DockerfileError, with_location
from croze.dockerfile.shell import ShellLex
from croze.dockerfile.suggest import suggest, with_suggestion
from croze.errors import CrozeError
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.image.platform import Platform


def add_stages(build: PlatformBuild, stages: Sequence[Stage]) -> None:
    """Make the stages' states, bases and platforms expanded."""
    for number, stage in enumerate(stages):
        _add_stage(build, stage, number)


def _add_stage(build: PlatformBuild, stage: Stage, number: int) -> None:
    lint = build.lint.for_comments(stage.comments)
    arg_scopes = (build.global_infos, build.global_args)
    base = build.lex.attempt(stage.base, build.global_args)
    check_from_args(arg_scopes, base.unmatched, stage.location, lint)
    if base.error is not None:
        raise with_location(base.error, stage.location)
    if not base.result:
        blank = DockerfileError(f"base name ({stage.base}) should not be blank")
        raise with_location(blank, stage.location)
    state = StageState(
        stage,
        name=stage.name,
        base_name=base.result,
        outline=OutlineCapture(dict(build.global_infos)),
    )
    used = set(base.matched)
    if stage.platform:
        state.platform, names = _stage_platform(build, stage, arg_scopes, lint)
        used |= names
    if stage.name:
        state.named_context = build.named_context(stage.name, state, state.platform)
        if state.named_context is not None:
            build.stages.add(state)
            state.base = None
            return
    state.name = stage.name or f"stage-{number}"
    build.stages.add(state)
    state.outline.used |= used
    state.total = _count_steps(state)
    state.ignore_cache = build.options.ignores_cache(stage.name)


def _stage_platform(
    build: PlatformBuild, stage: Stage, arg_scopes: Sequence[Collection[str]], lint: Linter
) -> tuple[Platform, frozenset[str]]:
    """The platform of a FROM, and the arguments that it was made of."""
    args = build.global_args
    expanded = build.lex.attempt(stage.platform, args)
    check_from_args(arg_scopes, expanded.unmatched, stage.location, lint)
    check_redundant_platform(stage, expanded, args, lint)
    check_constant_platform(stage, expanded, lint)
    if expanded.error is not None:
        wrong = expanded.error.wrap("failed to process arguments for platform ")
        raise with_location(wrong, stage.location)
    if not expanded.result:
        message = f"empty platform value from expression {stage.platform}"
        message = _suggest_any(message, expanded.unmatched, args)
        raise with_location(DockerfileError(message), stage.location)
    try:
        return platforms.parse(expanded.result), expanded.matched
    except CrozeError as err:
        message = _suggest_any(str(err), expanded.unmatched, args)
        wrong = DockerfileError(f"failed to parse platform {stage.platform}: {message}")
        raise with_location(with_location(wrong, stage.location), stage.location) from None


def _suggest_any(message: str, names: Iterable[str], options: Iterable[str]) -> str:
    options = list(options)
    for name in sorted(names):
        if suggest(name, options, case_sensitive=True):
            return with_suggestion(message, name, options, case_sensitive=True)
    return message


def _count_steps(state: StageState) -> int:
    """How many steps of the stage progress shows."""
    pulled = state.base_name != "scratch" and state.base is None
    steps = sum(isinstance(i, Add | Copy | Run | Workdir) for i in state.stage.instructions)
    return steps + pulled


def find_target(build: PlatformBuild) -> StageState:
    """The stage to build."""
    name = build.options.target
    if not name:
        return build.stages.all[-1]
    target = build.stages.find(name)
    if target is None:
        message = f"target stage {quote(name)} could not be found"
        names = build.stages.names()
        raise DockerfileError(with_suggestion(message, name, names, case_sensitive=True))
    return target


def link_stages(build: PlatformBuild) -> None:
    """Find out which stages take files from which others or from images."""
    stages = build.stages
    for state in list(stages.all):
        state.commands = []
        for instruction in state.stage.instructions:
            command = make_command(instruction, stages, build.lex)
            state.commands.append(command)
            add_sources(state, command, stages)  # which later ones may refer to by number
    cycle = find_cycle(stages.all)
    if cycle is not None:
        start, path = cycle
        err = DockerfileError(f"circular dependency detected on stage: {start.name}")
        for instruction in path:
            err = with_location(err, instruction.location)
        raise err
    if len(stages.all) == 1:
        stages.all[0].name = ""


def add_sources(state: StageState, command: StageInstruction, stages: StageList) -> None:
    """Note the stages that a command needs; images become part of the set."""
    for source in command.sources:
        state.deps[source] = command.instruction
        if source.external:
            stages.add(source)


def make_command(instruction: Instruction, stages: StageList, lex: ShellLex) -> StageInstruction:
    """The instruction with the stages it refers to."""
    match instruction:
        case Copy() if instruction.from_:
            return StageInstruction(instruction, [_copy_source(instruction, stages, lex)])
        case Run():
            return StageInstruction(
                instruction, [_mount_source(m.from_, stages) for m in instruction.mounts]
            )
    return StageInstruction(instruction)


def _copy_source(copy: Copy, stages: StageList, lex: ShellLex) -> StageState:
    if lex.expand(copy.from_, {}).result != copy.from_:
        raise DockerfileError(
            "variable expansion is not supported for --from, define a new stage with FROM using"
            " ARG from global scope as a workaround"
        )
    try:
        index = parse_int(copy.from_)
    except CrozeError:
        return stages.find(copy.from_) or external_image(copy.from_, copy.location)
    return stages.at(index)


def _mount_source(name: str, stages: StageList) -> StageState:
    """The stage that a mount is of; one also for mounts without a source, so that both go in
    pairs."""
    name = name or "scratch"
    return stages.find(name) or external_image(name)


def prepend_triggers(state: StageState, commands: Sequence[StageInstruction]) -> None:
    """Put a base image's triggers before the stage's own commands."""
    state.commands = [
        *(replace(c, from_trigger=True) for c in commands),
        *state.commands,
    ]
    state.total += len(commands)
