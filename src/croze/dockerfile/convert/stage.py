"""A stage while it is converted, and the set of all stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct, field

from croze.dockerfile.convert.image import WorkingImage
from croze.dockerfile.convert.outline import OutlineCapture
from croze.dockerfile.instructions import ArgPair, Instruction, Stage
from croze.dockerfile.location import DockerfileError, Ranges
from croze.dockerfile.named_contexts import NamedContext
from croze.gotypes.letters import to_lower
from croze.image.config import ImageConfig
from croze.image.platform import Platform
from croze.llb.meta import join_path
from croze.llb.state import State, scratch


class StageInstruction(Struct):
    """An instruction with the stages that it takes files from."""

    instruction: Instruction
    sources: list[StageState] = field(default_factory=list)
    from_trigger: bool = False


class StageState(Struct, eq=False):
    """A stage of the Dockerfile, or an image that a COPY or mount refers to (`external`)."""

    stage: Stage
    name: str = ""
    """As progress shows it."""
    base_name: str = ""
    """The base after expansion, later as a full reference."""
    external: bool = False
    base: StageState | None = None
    named_context: NamedContext | None = None
    platform: Platform | None = None
    state: State = field(default_factory=scratch)
    image: WorkingImage = field(default_factory=WorkingImage)
    base_config: ImageConfig | None = None
    dispatched: bool = False
    resolved: bool = False
    triggers_read: bool = False
    deps: dict[StageState, Instruction] = field(default_factory=dict)
    """Stages that files come from, with (the last of) the instructions that say so."""
    build_args: list[ArgPair] = field(default_factory=list)
    declared: set[str] = field(default_factory=set)
    """The names among `build_args`."""
    commands: list[StageInstruction] = field(default_factory=list)
    context_paths: set[str] = field(default_factory=set)
    """What it uses of the main context."""
    paths: set[str] = field(default_factory=set)
    """What others use of it. Shared with the base stage, whose files it passes on."""
    ignore_cache: bool = False
    total: int = 0
    index: int = 0
    in_trigger: bool = False
    outline: OutlineCapture = field(default_factory=OutlineCapture)
    scan_stage: bool = False
    scan_context: bool = False
    workdir_set: bool = False
    once: dict[str, Ranges] = field(default_factory=dict)
    """Where instructions that should stand once were seen."""

    def inherit(self) -> None:
        """Start from the base stage as it is now."""
        base = self.base
        if base is None:
            return
        self.state = base.state
        self.platform = base.platform
        self.image = base.image.copy()
        self.base_config = base.base_config
        self.paths = base.paths
        self.workdir_set = base.workdir_set
        self.build_args.extend(base.build_args)
        self.declared |= base.declared

    def needed_paths(self) -> list[str]:
        """The paths that others use of it, for the transfer of a local directory."""
        return follow_paths(self.paths)

    def commit(self, message: str, *, layer: bool = False, epoch: int | None = None) -> None:
        """One more entry in the image's history; see `WorkingImage.commit`."""
        self.image.commit(message, layer=layer, epoch=epoch)


class StageList:
    """All stages in order, external images among them."""

    def __init__(self) -> None:
        self.all: list[StageState] = []
        self._by_name: dict[str, StageState] = {}

    def add(self, state: StageState) -> None:
        """Append; a base that is the name of an earlier stage is that stage."""
        self.all.append(state)
        base = self._by_name.get(state.base_name)
        if base is not None:
            state.base = base
            state.outline = base.outline.copy()
        if state.stage.name:
            self._by_name[state.stage.name] = state

    def find(self, name: str) -> StageState | None:
        """The stage of this name, in any case of letters; of several, the last one so far."""
        return self._by_name.get(to_lower(name))

    def at(self, index: int) -> StageState:
        """The stage of this number. Raises `DockerfileError` if there is none."""
        if not 0 <= index < len(self.all):
            raise DockerfileError(f"invalid stage index {index}")
        return self.all[index]

    def names(self) -> list[str]:
        return [s.name for s in self.all if s.name]


def external_image(ref: str, location: Ranges = ()) -> StageState:
    """A stand-in for an image that is not a stage."""
    stage = Stage(name="", base=ref, platform="", keyword="", original="", location=location)
    return StageState(stage, base_name=ref, external=True)


def reachable(target: StageState) -> dict[StageState, None]:
    """The stages that a stage needs, itself first."""
    stages: dict[StageState, None] = {}
    waiting = [target]
    while waiting:
        stage = waiting.pop()
        if stage in stages:
            continue
        stages[stage] = None
        waiting.extend(reversed(stage.deps))
        if stage.base is not None:
            waiting.append(stage.base)
    return stages


def find_cycle(states: Sequence[StageState]) -> tuple[StageState, list[Instruction]] | None:
    """A stage from which a circle can be walked, and the instructions on the way."""
    visited: set[StageState] = set()
    for start in states:
        cycle = _walk(start, visited)
        if cycle is not None:
            return start, cycle
    return None


def _walk(start: StageState, visited: set[StageState]) -> list[Instruction] | None:
    if start in visited:
        return None
    visited.add(start)
    on_path = {start}
    steps: list[Instruction] = []
    stack: list[tuple[StageState, Iterator[tuple[StageState, Instruction]]]] = [
        (start, iter(start.deps.items()))
    ]
    while stack:
        stage, deps = stack[-1]
        for dep, instruction in deps:
            if dep in on_path:
                return [*steps, instruction]
            if dep not in visited:
                visited.add(dep)
                on_path.add(dep)
                steps.append(instruction)
                stack.append((dep, iter(dep.deps.items())))
                break
        else:
            stack.pop()
            on_path.discard(stage)
            if steps:
                steps.pop()
    return None


def follow_paths(paths: set[str]) -> list[str]:
    """Paths for `follow_paths` of a local source; none where everything is needed."""
    if "/" in paths:
        return []
    return sorted({join_path(".", path.lstrip("/")) for path in paths})
