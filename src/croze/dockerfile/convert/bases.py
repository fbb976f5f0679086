"""Base images: named contexts, registries, or nothing; and the triggers they bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from croze.aio.parallel import all_of
from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.checks import check_base_platform
from croze.dockerfile.convert.image import WorkingImage, empty_image, working_image
from croze.dockerfile.convert.naming import prefix_command
from croze.dockerfile.convert.plan import add_sources, make_command, prepend_triggers
from croze.dockerfile.convert.stage import StageInstruction, StageState, reachable
from croze.dockerfile.image_json import parse_config
from croze.dockerfile.instructions import Onbuild, parse_command
from croze.dockerfile.location import DockerfileError, set_location, with_location
from croze.dockerfile.named_contexts import NamedContext
from croze.dockerfile.parser import parse
from croze.dockerfile.resolver import ImageQuestion
from croze.dockerfile.suggest import with_suggestion
from croze.errors import CrozeError
from croze.gotypes.quote import quote
from croze.image import config as image_config
from croze.image import platform as platforms
from croze.image import reference
from croze.image.config import ImageConfig
from croze.image.platform import Platform
from croze.image.reference import Reference
from croze.llb.options import OpOptions
from croze.llb.source import image
from croze.llb.state import scratch

COMMAND_KEY = "com.docker.dockerfile.v1.command"
_COMMON = ("alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora")


async def resolve_stages(build: PlatformBuild, target: StageState) -> dict[StageState, None]:
    """Resolve the bases of all stages that the target needs. Triggers of a base image may need
    more stages; then again."""
    while True:
        needed = reachable(target)
        await _resolve_bases(build, needed)
        found_more = False
        for stage in needed:
            stage.inherit()
            triggers = _triggers(stage)
            if triggers:
                found_more |= _add_triggers(build, stage, triggers)
                stage.image.on_build = []
        if not found_more:
            return needed


async def _resolve_bases(build: PlatformBuild, needed: Mapping[StageState, None]) -> None:
    waiting: list[StageState] = []
    for stage in list(build.stages.all):
        if stage.base is not None or stage.dispatched or stage.resolved:
            continue
        is_needed = build.request.all_stages or stage in needed
        stage.resolved = is_needed
        if stage.base_name == "scratch" and stage.named_context is None:
            _start_from_nothing(build, stage)
        elif is_needed:
            waiting.append(stage)
        else:
            _name_unused(build, stage)
    await all_of(_resolve_base(build, stage) for stage in waiting)


def _start_from_nothing(build: PlatformBuild, stage: StageState) -> None:
    stage.state = scratch()
    stage.image = empty_image(build.platforms.target)
    stage.platform = build.platforms.target
    if stage.external:
        stage.dispatched = True


def _name_unused(build: PlatformBuild, stage: StageState) -> None:
    """A stage that nothing needs is not looked up, but its base must be a possible name."""
    try:
        ref = _parse_base(stage)
        stage.base_name = str(ref.tagged())
        stage.platform = stage.platform or build.platforms.target
        _set_image(build, stage, stage.platform)
    except CrozeError as err:
        raise with_location(err, stage.stage.location) from None
    finally:
        stage.dispatched = stage.dispatched or stage.external


async def _resolve_base(build: PlatformBuild, stage: StageState) -> None:
    try:
        ref = _parse_base(stage)
        platform = stage.platform or build.platforms.target
        origin, stage.base_name = stage.base_name, str(ref.tagged())
        if stage.named_context is not None:
            await _use_context_as_stage(stage, stage.named_context)
        elif context := build.named_context(stage.base_name, stage, platform):
            await _use_context_as_base(stage, context, platform)
        else:
            await _use_image(build, stage, origin, ref, platform)
    except CrozeError as err:
        raise with_location(err, stage.stage.location) from None
    finally:
        stage.dispatched = stage.dispatched or stage.external


def _parse_base(stage: StageState) -> Reference:
    try:
        return reference.parse(stage.base_name)
    except CrozeError as err:
        raise err.wrap(f"failed to parse stage name {quote(stage.base_name)}") from None


async def _use_context_as_stage(stage: StageState, context: NamedContext) -> None:
    stage.state, config = await context.load()
    stage.dispatched = True
    if config is not None:
        stage.image = working_image(config)
        if config.architecture and config.os:
            stage.platform = config.platform


async def _use_context_as_base(
    stage: StageState, context: NamedContext, platform: Platform
) -> None:
    state, config = await context.load()
    if config is None:
        config = image_config.empty(platform)
    stage.base_config = config
    stage.image = working_image(config)
    stage.state = state.platform(platform)
    stage.platform = platform


async def _use_image(
    build: PlatformBuild, stage: StageState, origin: str, ref: Reference, platform: Platform
) -> None:
    prefix = "internal]"
    if build.options.multi_platform:
        prefix = f"{platforms.format_all(platform)} {prefix}"
    try:
        resolved = await build.contexts.resolver.resolve_image(
            ImageQuestion(
                stage.base_name,
                platform,
                build.options.resolve_mode,
                f"[{prefix} load metadata for {stage.base_name}",
            )
        )
    except CrozeError as err:
        raise _with_near_name(build, err.wrap(origin), origin) from None
    ref = _parse_converted(ref, resolved.ref)
    try:
        config = parse_config(resolved.config)
    except CrozeError as err:
        raise err.wrap("failed to parse image config") from None
    stage.base_config = config
    stage.image = working_image(config)
    if stage.platform is None and build.platforms.implicit:
        platform = _detect_platform(stage.image, platform, build.platforms.build)
    if resolved.digest:
        ref = ref.with_digest(resolved.digest)
    stage.base_name = str(ref)
    if _is_empty(config):
        stage.state = scratch()
    else:
        _set_image(build, stage, platform)
        actual, location = stage.image.platform, stage.stage.location
        check_base_platform(origin, platform, actual, location, build.lint)
    stage.platform = platform


def _with_near_name(build: PlatformBuild, err: CrozeError, name: str) -> CrozeError:
    common = [f"{prefix}{n}{tag}" for n in _COMMON for prefix in _PREFIXES for tag in _TAGS]
    options = [*build.stages.names(), *common]
    return err.with_message(with_suggestion(str(err), name, options, case_sensitive=True))


_PREFIXES = ("", "docker.io/library")  # without a slash in BuildKit, too
_TAGS = ("", ":latest")


def _parse_converted(ref: Reference, text: str) -> Reference:
    """The reference that was really resolved; a policy may have changed it."""
    if str(ref) == text:
        return ref
    try:
        return reference.parse(text)
    except CrozeError as err:
        raise err.wrap(f"failed to parse ref {quote(text)}") from None


def _is_empty(config: ImageConfig) -> bool:
    """An image without layers. Old images don't list theirs: their history tells."""
    return not config.diff_ids and all(row.empty_layer for row in config.history)


def _detect_platform(
    image: WorkingImage, target: Platform, supported: Sequence[Platform]
) -> Platform:
    """The platform of an image that has only one, where nobody asked for any."""
    actual = (image.platform.os, image.platform.architecture)
    candidates = [target, *supported]
    return next((p for p in candidates if (p.os, p.architecture) == actual), target)


def _set_image(build: PlatformBuild, stage: StageState, platform: Platform) -> None:
    name = prefix_command(
        stage,
        f"FROM {stage.base_name}",
        with_platform=build.options.multi_platform,
        platform=platform,
        env={},
    )
    options: OpOptions = {
        **build.at(stage.stage.location),
        "name": name,
        "description": {COMMAND_KEY: stage.stage.original},
        "platform": platform,
    }
    stage.state = image(stage.base_name, resolve_mode=build.options.resolve_mode, **options)


def _triggers(stage: StageState) -> list[str]:
    """ONBUILD of the base image, or of the base stage, once."""
    triggers = list(stage.image.on_build)
    if stage.base is not None and not stage.triggers_read:
        stage.triggers_read = True
        instructions = [c.instruction for c in stage.base.commands]
        triggers += [i.expression for i in instructions if isinstance(i, Onbuild)]
    return triggers


def _add_triggers(build: PlatformBuild, stage: StageState, triggers: Sequence[str]) -> bool:
    """Put triggers before the stage's commands; True if they need other stages."""
    try:
        commands = [_parse_trigger(build, stage, text) for text in triggers]
    except CrozeError as err:
        raise set_location(err, stage.stage.location) from None
    prepend_triggers(stage, commands)
    return any(command.sources for command in commands)


def _parse_trigger(build: PlatformBuild, stage: StageState, text: str) -> StageInstruction:
    nodes = parse(text.encode("utf-8", "surrogateescape")).ast
    if len(nodes) != 1:
        raise DockerfileError("onbuild trigger should be a single expression")
    lines = [line for r in stage.stage.location for line in (r.start.line, r.end.line)]
    node = replace(nodes[0], start_line=min(lines, default=0), end_line=max(lines, default=0))
    command = make_command(parse_command(node), build.stages, build.lex)
    add_sources(stage, command, build.stages)
    return command
