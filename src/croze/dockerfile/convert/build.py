"""What all parts of one conversion share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from msgspec import Struct, field
from msgspec.structs import replace

from croze.dockerfile.contexts import BuildContexts
from croze.dockerfile.convert.args import BuildPlatforms
from croze.dockerfile.convert.outline import ArgInfo
from croze.dockerfile.convert.stage import StageList, StageState
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import Ranges
from croze.dockerfile.named_contexts import NamedContext, find_named
from croze.dockerfile.options import DockerfileOptions
from croze.dockerfile.shell import ShellLex
from croze.fs.match.patterns import PatternMatcher
from croze.image.platform import Platform
from croze.llb.env import Env
from croze.llb.execop import ProxyEnv
from croze.llb.graph import Deferred, Output
from croze.llb.options import OpOptions
from croze.llb.sourcemap import SourceMap
from croze.llb.state import State


class MainContextSlot:
    """Stands for the main context until it is known what of it is needed."""

    def __init__(self) -> None:
        self.actual: State | None = None
        self.state = State(Deferred(self._output))

    def _output(self) -> Output | None:
        return self.actual.output if self.actual is not None else None


class ConversionRequest(Struct, frozen=True):
    """What is to be converted, and how."""

    source: SourceMap
    contexts: BuildContexts
    platform: Platform | None = None
    all_stages: bool = False

    @property
    def options(self) -> DockerfileOptions:
        return self.contexts.options


class PlatformBuild(Struct, dict=True):
    """One conversion: for one target platform, or for none in particular."""

    request: ConversionRequest
    platforms: BuildPlatforms
    build_args: dict[str, str]
    """As given, `SOURCE_DATE_EPOCH` resolved to a number."""
    global_args: Env
    global_infos: dict[str, ArgInfo]
    lex: ShellLex
    lint: Linter
    epoch: int | None
    proxy: ProxyEnv | None
    main_context: MainContextSlot = field(default_factory=MainContextSlot)
    stages: StageList = field(default_factory=StageList)
    ignore: PatternMatcher | None = None

    @cached_property
    def shown_lex(self) -> ShellLex:
        """The lexer for commands in names of steps: quotes and unknown variables stay."""
        return replace(self.lex, raw_quotes=True, skip_unset=True)

    @property
    def options(self) -> DockerfileOptions:
        return self.request.options

    @property
    def contexts(self) -> BuildContexts:
        return self.request.contexts

    @property
    def has_cap(self) -> Callable[[str], bool]:
        return self.contexts.resolver.has_cap

    @property
    def context(self) -> State:
        return self.main_context.state

    def named_context(
        self, name: str, stage: StageState, platform: Platform | None
    ) -> NamedContext | None:
        """What was given in place of a stage or image of this name."""
        if name.lower() in ("scratch", "context"):
            return None
        return find_named(
            self.contexts,
            name,
            platform=platform or self.request.platform,
            resolve_mode=self.options.resolve_mode,
            follow_paths=stage.needed_paths,
        )

    def at(self, location: Ranges) -> OpOptions:
        """Options that say where in the Dockerfile an op comes from."""
        return {"locations": [self.request.source.at(*location)]}
