"""The Dockerfile frontend: a client's options in, definitions and metadata out.

What BuildKit calls `dockerfile.v0`. It asks the world through a `Resolver` alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from croze.aio.parallel import all_of
from croze.api import ops_pb2
from croze.dockerfile import subrequests
from croze.dockerfile.contexts import BuildContexts
from croze.dockerfile.convert import Conversion, convert, convert_lint, convert_outline
from croze.dockerfile.directives import detect_syntax
from croze.dockerfile.lint import LintWarning, WarnSink, format_short
from croze.dockerfile.llb_json import convert_llb_reply
from croze.dockerfile.location import Ranges, fill_source, with_location, without_places
from croze.dockerfile.options import parse_options
from croze.dockerfile.resolver import FrontendResult, Resolver, Scan, Syntax
from croze.errors import (
    CrozeError,
    FrontendCapDetail,
    SourceDetail,
    SubrequestDetail,
    Unsupported,
)
from croze.gotypes import gojson
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.llb.definition import head
from croze.llb.sourcemap import SourceMap
from croze.status import VertexWarning

CONFIG_KEY: Final = "containerimage.config"
BASE_CONFIG_KEY: Final = "containerimage.base.config"
EPOCH_KEY: Final = "source.date.epoch"
PLATFORMS_KEY: Final = "refs.platforms"
CAPS: Final = frozenset(
    f"moby.buildkit.frontend.{name}"
    for name in ("inputs", "subrequests", "contexts", "gitquerystring")
)
_SHOWN_BYTES: Final = 64 << 20
"""The most that is sent of the file in all: further warnings come without it."""
_SYNTAX_ARG = "build-arg:BUILDKIT_SYNTAX"


Forward = Callable[[Syntax], Awaitable[FrontendResult | None]]
"""Runs another frontend. None means that this one is to do: it speaks the same language."""


async def build(
    opts: Mapping[str, str],
    resolver: Resolver,
    *,
    forward: Forward | None = None,
    labs: bool = False,
) -> FrontendResult:
    """Answer a request. Raises `CrozeError` with `SourceDetail`s that show the Dockerfile.

    Without `forward`, a request for another frontend is not acted on. `labs` as in
    `DockerfileOptions`.
    """
    options = parse_options(opts, resolver.worker_platforms(), resolver.has_cap)
    contexts = BuildContexts(replace(options, labs=labs), resolver)
    missing = _missing_cap(opts.get("frontend.caps", ""))
    if missing is not None and not missing.may_forward:
        raise missing.error()
    source = await contexts.read_dockerfile()
    if forward is not None and "cmdline" not in opts:
        forwarded = await _forward(opts, source, forward)
        if forwarded is not None:
            return forwarded
    if missing is not None:
        raise missing.error()
    if "requestid" in opts:
        return await _answer(opts["requestid"], source, contexts)
    try:
        return await _build(source, contexts)
    except CrozeError as err:
        raise _fill(err, source) from None


class _MissingCap(Struct, frozen=True):
    """A capability that the client needs; `may_forward`: of whichever frontend answers in the
    end."""

    name: str
    may_forward: bool

    def error(self) -> Unsupported:
        message = f"unsupported frontend capability {self.name}"
        return Unsupported(message, FrontendCapDetail(self.name))


def _missing_cap(text: str) -> _MissingCap | None:
    """The first that rules this frontend out, or else the last that another one may have."""
    missing: _MissingCap | None = None
    for item in text.split(",") if text else ():
        name = item.partition("+")[0]
        if name not in CAPS:
            missing = _MissingCap(name, "+forward" in item)
            if not missing.may_forward:
                break
    return missing


async def _forward(
    opts: Mapping[str, str], source: SourceMap, forward: Forward
) -> FrontendResult | None:
    """Hand the request to the frontend that the client, or else the Dockerfile, names."""
    cmdline = opts.get(_SYNTAX_ARG)
    if cmdline is not None:
        image = cmdline.strip().partition(" ")[0]
        try:
            return await forward(Syntax(image, cmdline))
        except CrozeError as err:
            if not _has_source(err):
                raise err.wrap(f"failed with {_SYNTAX_ARG} = {cmdline}") from None
            raise
    directive = detect_syntax(source.data)
    if directive is None:
        return None
    try:
        return await forward(Syntax(directive.head, directive.value))
    except CrozeError as err:
        if not _has_source(err):
            raise _fill(with_location(err, directive.location), source) from None
        raise


def _has_source(err: CrozeError) -> bool:
    return any(isinstance(detail, SourceDetail) for detail in err.details)


def _fill(err: CrozeError, source: SourceMap) -> CrozeError:
    """Complete the places of an error with the file that they are in."""
    definition = source.definition
    return fill_source(
        err,
        source.filename,
        source.data,
        language=source.language,
        definition=definition.SerializeToString(deterministic=True)
        if definition is not None
        else b"",
    )


async def _answer(request: str, source: SourceMap, contexts: BuildContexts) -> FrontendResult:
    """A subrequest: nothing is built."""
    warnings: list[LintWarning] = []
    try:
        reply = await _reply(request, source, contexts, warnings.append)
    except CrozeError as err:
        raise without_places(err) from None
    finally:
        await _warn(warnings, source, contexts.resolver)
    return FrontendResult({}, reply)


async def _reply(
    request: str, source: SourceMap, contexts: BuildContexts, warn: WarnSink
) -> dict[str, bytes]:
    match request:
        case subrequests.DESCRIBE:
            return subrequests.describe_reply()
        case subrequests.OUTLINE:
            outline = await convert_outline(source, contexts, warn=warn)
            return subrequests.outline_reply(outline, source.data)
        case subrequests.TARGETS:
            targets = subrequests.list_targets(source.data)
            return subrequests.targets_reply(targets, source.data)
        case subrequests.LINT:
            report = await convert_lint(source, contexts)
            return subrequests.lint_reply(report, source.info())
        case subrequests.CONVERT_LLB:
            result = await convert(source, contexts, warn=warn)
            return convert_llb_reply(result.state.marshal())
    raise Unsupported(f"unsupported request {request}", SubrequestDetail(request))


async def _build(source: SourceMap, contexts: BuildContexts) -> FrontendResult:
    """All platforms at once; the first one reports what lint has found."""
    platforms: Sequence[Platform | None] = contexts.options.target_platforms or [None]
    warnings: list[LintWarning] = []
    try:
        results = await all_of(
            _build_platform(source, contexts, platform, None if n else warnings)
            for n, platform in enumerate(platforms)
        )
    finally:
        await _warn(warnings, source, contexts.resolver)
    scans = _scans(results) if contexts.options.sbom is not None else {}
    return replace(_assemble(results, multi=contexts.options.multi_platform), scans=scans)


class _PlatformResult(Struct, frozen=True):
    key: str
    platform: Platform
    conversion: Conversion
    definition: ops_pb2.Definition


async def _build_platform(
    source: SourceMap,
    contexts: BuildContexts,
    platform: Platform | None,
    warnings: list[LintWarning] | None,
) -> _PlatformResult:
    sink = warnings.append if warnings is not None else None
    conversion = await convert(source, contexts, platform=platform, warn=sink)
    try:
        definition = conversion.state.marshal()
    except CrozeError as err:
        raise err.wrap("failed to marshal LLB definition") from None
    target_platform = platforms.normalize(platform or platforms.default_platform())
    key = platforms.format_all(target_platform)
    return _PlatformResult(
        key, _exported(target_platform, conversion.image_platform), conversion, definition
    )


def _exported(platform: Platform, image: Platform) -> Platform:
    """The platform as the exporter sees it: of Windows the image knows the version, its base's
    where none was asked for."""
    if platform.os != "windows":
        return platform
    return platforms.normalize(
        msgspec.structs.replace(
            platform, os_version=image.os_version, os_features=image.os_features
        )
    )


def _assemble(results: Sequence[_PlatformResult], *, multi: bool) -> FrontendResult:
    definitions: dict[str, ops_pb2.Definition] = {}
    metadata: dict[str, bytes] = {}
    for result in results:
        suffix = f"/{result.key}" if multi else ""
        definitions[result.key if multi else ""] = result.definition
        conversion = result.conversion
        metadata[CONFIG_KEY + suffix] = conversion.image
        if conversion.base_image is not None:
            metadata[BASE_CONFIG_KEY + suffix] = conversion.base_image
        if conversion.epoch is not None:
            metadata[EPOCH_KEY + suffix] = str(conversion.epoch).encode()
    listed = [{"ID": result.key, "Platform": result.platform} for result in results]
    metadata[PLATFORMS_KEY] = gojson.marshal({"Platforms": listed})
    return FrontendResult(definitions, metadata)


def _scans(results: Sequence[_PlatformResult]) -> dict[str, Scan]:
    return {
        result.key: Scan(
            {name: state.marshal() for name, state in conversion.sbom_extras.items()},
            conversion.ignore_cache,
        )
        for result in results
        for conversion in [result.conversion]
    }


async def _warn(warnings: Sequence[LintWarning], source: SourceMap, resolver: Resolver) -> None:
    """Report lint warnings on the step that loaded the Dockerfile."""
    if not warnings:
        return
    definition = source.definition or ops_pb2.Definition()
    vertex, origin = head(definition), definition.SerializeToString(deterministic=True)
    lines = SourceDetail(source.filename, source.data, (), source.language, definition=origin)
    shown = _SHOWN_BYTES // max(1, len(source.data))
    await resolver.warn(
        [
            VertexWarning(
                vertex,
                1,
                _short(warning),
                (warning.description,),
                warning.url,
                lines if number <= shown else None,
                tuple(warning.location),
            )
            for number, warning in enumerate(warnings)
        ]
    )


def _short(warning: LintWarning) -> str:
    return format_short(warning.rule, warning.message, _first_line(warning.location))


def _first_line(location: Ranges) -> int:
    return location[0].start.line if location else 0
