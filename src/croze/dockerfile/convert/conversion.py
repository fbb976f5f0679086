"""One Dockerfile, one platform: text in, LLB and image config out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from msgspec import Struct, field

from croze.dockerfile import lint_rules
from croze.dockerfile.contexts import BuildContexts
from croze.dockerfile.convert.args import choose_platforms, meta_args, platform_args, proxy_env
from croze.dockerfile.convert.bases import resolve_stages
from croze.dockerfile.convert.build import ConversionRequest, PlatformBuild
from croze.dockerfile.convert.checks import check_casing, check_default_bases, check_stage_names
from croze.dockerfile.convert.dispatch import dispatch_stages, finish_image
from croze.dockerfile.convert.epoch import EpochArgs, resolve_epoch
from croze.dockerfile.convert.image import config_json
from croze.dockerfile.convert.plan import add_stages, find_target, link_stages
from croze.dockerfile.convert.stage import StageState, follow_paths, reachable
from croze.dockerfile.directives import find_directive
from croze.dockerfile.instructions import Arg, Stage, parse_stages
from croze.dockerfile.lint import LintConfig, Linter, LintWarning, WarnSink, parse_check
from croze.dockerfile.location import DockerfileError, locations
from croze.dockerfile.options import DockerfileOptions
from croze.dockerfile.parser import parse
from croze.dockerfile.shell import ShellLex
from croze.dockerfile.subrequests import (
    BuildError,
    LintReport,
    Outline,
    OutlineArg,
    OutlineUse,
    merge_locations,
    outline,
)
from croze.errors import CrozeError
from croze.image.platform import Platform, normalize
from croze.llb.graph import Defaults
from croze.llb.sourcemap import SourceMap
from croze.llb.state import State


class Conversion(Struct, frozen=True):
    """What became of a Dockerfile. `epoch` is in Unix seconds; configs are JSON."""

    state: State
    """The result; `state.marshal()` is its definition."""
    image: bytes
    image_platform: Platform
    base_image: bytes | None
    epoch: int | None
    ignore_cache: bool
    """Whether the target, or a stage scanned for an SBOM, ignores the cache."""
    outline: Outline
    """What the target takes from outside."""
    sbom_extras: Mapping[str, State] = field(default_factory=dict)
    """States to scan beside the result, by name."""


async def convert(
    source: SourceMap,
    contexts: BuildContexts,
    *,
    platform: Platform | None = None,
    warn: WarnSink | None = None,
    all_stages: bool = False,
) -> Conversion:
    """Convert a Dockerfile. Raises `CrozeError` with places in the file.

    `platform` None lets the base image decide. `all_stages` converts also what the target does not
    need, for lint.
    """
    if not source.data:
        raise DockerfileError("the Dockerfile cannot be empty")
    request = ConversionRequest(source, contexts, platform, all_stages)
    lint = Linter(_lint_config(source.data, contexts.options), warn)
    text = _read(source.data, lint)
    build = await _prepare(request, text, lint)
    add_stages(build, text.stages)
    target = find_target(build)
    link_stages(build)
    needed = await resolve_stages(build, target)
    used = await dispatch_stages(build, needed, target)
    finish_image(build, target)
    if error := lint.error():
        raise error
    build.main_context.actual = await contexts.main_state(follow_paths(used))
    return _finish(build, target)


async def convert_lint(source: SourceMap, contexts: BuildContexts) -> LintReport:
    """What is questionable in a Dockerfile: all stages, unless a target was named."""
    warnings: list[LintWarning] = []
    try:
        await convert(
            source,
            contexts,
            warn=warnings.append,
            all_stages=not contexts.options.target,
        )
    except CrozeError as err:
        failure = BuildError(str(err), merge_locations(locations(err)))
        return LintReport(tuple(warnings), failure)
    return LintReport(tuple(warnings))


async def convert_outline(
    source: SourceMap,
    contexts: BuildContexts,
    *,
    warn: WarnSink | None = None,
) -> Outline:
    """What the target takes from outside."""
    return (await convert(source, contexts, warn=warn)).outline


class _Text(Struct, frozen=True):
    """The Dockerfile, parsed. `args` stand before the first stage."""

    stages: Sequence[Stage]
    args: Sequence[Arg]
    lex: ShellLex


def _lint_config(data: bytes, options: DockerfileOptions) -> LintConfig:
    if options.lint is not None:
        return options.lint
    directive = find_directive("check", data)
    try:
        return parse_check(directive.head if directive is not None else "")
    except CrozeError as err:
        raise err.wrap("failed to parse check options") from None


_parse = lru_cache(maxsize=8)(parse)
"""All platforms, lint and the next build read the same text."""


def _read(data: bytes, lint: Linter) -> _Text:
    parsed = _parse(data)
    for warning in parsed.warnings:
        if warning.url == lint_rules.NO_EMPTY_CONTINUATION.url:
            lint.run(lint_rules.NO_EMPTY_CONTINUATION, warning.location)
    stages, args = parse_stages(parsed.ast, lint)
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build")
    check_stage_names(stages, lint)
    check_casing(stages, lint)
    return _Text(stages, args, ShellLex(parsed.escape))


async def _prepare(request: ConversionRequest, text: _Text, lint: Linter) -> PlatformBuild:
    """Settle platforms and arguments."""
    options, stages, lex = request.options, text.stages, text.lex
    platforms = choose_platforms(request.platform, options.build_platforms)
    env = platform_args(platforms, options.build_args, options.target or stages[-1].name)
    check_default_bases(stages, lex, env, text.args, lint)
    env, infos = meta_args(env, lex, text.args, options.build_args)
    args = EpochArgs(dict(options.build_args), env)
    epoch = None
    if (value := args.value()) is not None:
        epoch = await resolve_epoch(value, args, request.contexts, stages, lex)
        args.settle(epoch)
    return PlatformBuild(
        request=request,
        platforms=platforms,
        build_args=args.build_args,
        global_args=args.global_args,
        global_infos=infos,
        lex=lex,
        lint=lint,
        epoch=epoch,
        proxy=proxy_env(args.build_args),
    )


def _finish(build: PlatformBuild, target: StageState) -> Conversion:
    defaults = Defaults(build.platforms.target, build.has_cap)
    extras: dict[str, State] = {}
    if target.scan_context:
        extras["context"] = build.context
    ignore_cache = target.ignore_cache
    for stage in reachable(target):
        if stage is not target and stage.scan_stage:
            extras[stage.name] = stage.state
            ignore_cache = ignore_cache or stage.ignore_cache
    target.image.platform = normalize(target.image.platform)
    base = target.base_config
    return Conversion(
        state=target.state.with_defaults(defaults),
        image=config_json(target.image.finish()),
        image_platform=target.image.platform,
        base_image=config_json(base) if base is not None else None,
        epoch=build.epoch,
        ignore_cache=ignore_cache,
        outline=_outline(target),
        sbom_extras=extras,
    )


def _outline(target: StageState) -> Outline:
    args: dict[str, OutlineArg] = {}
    secrets: dict[str, OutlineUse] = {}
    ssh: dict[str, OutlineUse] = {}
    for stage in reachable(target):
        for key, arg in stage.outline.used_args():
            args.setdefault(key, arg)
        for key, use in stage.outline.secrets.items():
            secrets.setdefault(key, use)
        for key, use in stage.outline.ssh.items():
            ssh.setdefault(key, use)
    shown = target.stage
    return outline(shown.name, shown.doc, args=args, secrets=secrets, ssh=ssh)
