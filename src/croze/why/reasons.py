"""Why a step missed the cache: the step beside the nearest earlier record of the same line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from croze.fs.changed import Changes, FileChange
from croze.fs.checksum import Query
from croze.why.differ import Difference, differences
from croze.why.record import Build, Step, StepInput, missed

FILES: Final = "files"
ARGUMENT: Final = "argument"
INSTRUCTION: Final = "instruction"
BASE: Final = "base"
NO_CACHE: Final = "no-cache"
PARENT: Final = "parent"
PRUNED: Final = "pruned"
NEW: Final = "new"
UNCACHEABLE: Final = "uncacheable"

CompareFiles = Callable[[str, str, Sequence[Query]], Changes | None]
"""How two kept lists of files differ; None if one of them is gone."""


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that made a step miss.

    `kind`: `files`, `argument`, `environment`, `instruction`, `base`, `source`, `mount`, `secret`,
    `ssh`, `option`, `platform`, `no-cache`, `pruned`, `parent`, `new` or `uncacheable`. `subject`
    names what changed, from `old` to `new`; for `files` it is where they are, for `parent` the
    step that missed first.
    """

    kind: str
    subject: str = ""
    old: str = ""
    new: str = ""
    files: tuple[FileChange, ...] = ()
    count: int = msgspec.field(default=0, name="fileCount")
    total: int = msgspec.field(default=0, name="fileTotal")


class Explained(msgspec.Struct, frozen=True):
    """A step that missed, and the build it was compared with."""

    step: Step
    reasons: tuple[Reason, ...]
    compared_ref: str = ""
    compared_us: int = 0


@dataclass(frozen=True)
class _Pair:
    """A step now and then, each with its build."""

    step: Step
    build: Build
    old: Step
    old_build: Build


def explain(step: Step, build: Build, earlier: Iterable[Build], compare: CompareFiles) -> Explained:
    """One step; for several see `Explainer`."""
    return Explainer(build, earlier, compare).explain(step)


class Explainer:
    """Explains steps of one build. `earlier`: builds of the same scope, newest first; read only as
    far as is needed."""

    def __init__(self, build: Build, earlier: Iterable[Build], compare: CompareFiles) -> None:
        self._build = build
        self._texts = {step.text for step in build.steps}
        self._unread = iter(earlier)
        self._read: list[_Past] = []
        self._compare = compare

    def explain(self, step: Step) -> Explained:
        if step.ignore_cache:
            return Explained(step, (Reason(NO_CACHE),))
        for past in self._past():
            old = nearest(step, past.lines(step), self._texts)
            if old is not None:
                pair = _Pair(step, self._build, old, past.build)
                reasons = tuple(_reasons(pair, self._compare)) or tuple(_unchanged(pair))
                return Explained(step, reasons, past.build.ref, past.build.created_us)
        return Explained(step, tuple(_parents(step, self._build)) or (Reason(NEW),))

    def _past(self) -> Iterator[_Past]:
        yield from self._read
        for build in self._unread:
            if related(self._build, build):
                self._read.append(_Past(build))
                yield self._read[-1]


class _Past:
    """An earlier build, its lines by stage."""

    def __init__(self, build: Build) -> None:
        self.build = build
        self._lines: dict[tuple[str, str], list[Step]] = {}
        for step in build.steps:
            if step.key and not step.internal:
                self._lines.setdefault((step.where, step.kind), []).append(step)

    def lines(self, step: Step) -> Sequence[Step]:
        """Those that may be the same as `step`."""
        return self._lines.get((step.where, step.kind), ())


def related(build: Build, past: Build) -> bool:
    """Whether two builds of a scope can be of the same Dockerfile: contexts in folders of the same
    name share a scope."""
    texts = {step.text for step in past.steps if not step.internal}
    own = {step.text for step in build.steps if not step.internal}
    return bool(texts & own) or min(len(texts), len(own)) <= 2


def nearest(step: Step, place: Sequence[Step], texts: set[str]) -> Step | None:
    """The record of the same line among those of the same stage: the same text, or else the same
    number and instruction. `texts`: what the build now has; a line that only moved is not another
    one."""
    same = [s for s in place if s.text == step.text]
    if same:
        return min(same, key=lambda s: abs(s.number - step.number))
    for old in place:
        if old.number == step.number and old.instruction == step.instruction:
            return None if old.text in texts else old
    return None


def _reasons(pair: _Pair, compare: CompareFiles) -> Iterator[Reason]:
    step, old = pair.step, pair.old
    if step.identity == old.identity:
        return
    yield from _own(pair)
    if len(step.inputs) != len(old.inputs):
        if step.text == old.text:
            yield Reason(INSTRUCTION, "what it takes from other stages")
        return
    # What is copied says more than what it is copied onto.
    pairs = list(zip(old.inputs, step.inputs, strict=True))
    for before, after in sorted(pairs, key=lambda p: not p[1].content):
        yield from _input(pair, before, after, compare)


def _own(pair: _Pair) -> Iterator[Reason]:
    """What differs in the step itself."""
    rewritten = pair.step.text != pair.old.text
    if rewritten and pair.step.kind != "source":
        yield Reason(INSTRUCTION, "", pair.old.text, pair.step.text)
    for found in differences(pair.old.op, pair.step.op):
        if found.kind == "source":
            yield _source(pair.old, pair.step)
        elif not (rewritten and found.kind == INSTRUCTION):
            yield _reason(found, pair.build)
    if pair.old.pin != pair.step.pin and pair.old.source == pair.step.source:
        yield _source(pair.old, pair.step)


def _reason(found: Difference, build: Build) -> Reason:
    declared = found.kind == "environment" and found.subject in build.args
    kind = ARGUMENT if declared else found.kind
    return Reason(kind, found.subject, found.old, found.new)


def _source(old: Step, new: Step) -> Reason:
    """A base image or another source that is not what it was."""
    name, old_digest = _split(old)
    new_name, new_digest = _split(new)
    kind = BASE if new.source.startswith(("docker-image://", "oci-layout://")) else "source"
    if name == new_name:
        return Reason(kind, new_name, old_digest, new_digest)
    return Reason(kind, "", f"{name}@{old_digest}".rstrip("@"), f"{new_name}@{new_digest}")


def _split(step: Step) -> tuple[str, str]:
    name, _, digest = step.source.partition("://")[2].partition("@")
    return name.removeprefix("docker.io/library/").removeprefix("docker.io/"), digest or step.pin


def _input(
    pair: _Pair, before: StepInput, after: StepInput, compare: CompareFiles
) -> Iterator[Reason]:
    below, below_old = pair.build.steps[after.step], pair.old_build.steps[before.step]
    if before.content and after.content:
        if before.content != after.content:
            yield _files(before, after, below, compare)
            yield from _parent(below)
    elif below.is_local:
        yield Reason(UNCACHEABLE, origin(below))
    elif _same(_Pair(below, pair.build, below_old, pair.old_build)):
        return
    elif below.kind == "source" and below_old.kind == "source":
        yield _source(below_old, below)
    elif below.internal:
        return
    else:
        yield Reason(PARENT, below.name)


def _same(pair: _Pair) -> bool:
    """Whether two steps did the same to the same, as far as both builds know."""
    seen: set[tuple[str, str]] = set()
    stack = [(pair.step, pair.old)]
    while stack:
        step, old = stack.pop()
        if step.identity == old.identity or (step.digest, old.digest) in seen:
            continue
        seen.add((step.digest, old.digest))
        if (step.op, len(step.inputs)) != (old.op, len(old.inputs)):
            return False
        if not step.inputs and step.pin != old.pin:
            return False
        for before, after in zip(old.inputs, step.inputs, strict=True):
            if not (before.content and after.content):
                stack.append((pair.build.steps[after.step], pair.old_build.steps[before.step]))
            elif before.content != after.content:
                return False
    return True


def _files(before: StepInput, after: StepInput, below: Step, compare: CompareFiles) -> Reason:
    changes = None
    same = msgspec.json.encode(before.queries) == msgspec.json.encode(after.queries)
    if before.files and after.files and same:
        changes = compare(before.files, after.files, after.queries)
    if changes is None:
        return Reason(FILES, origin(below), before.content, after.content)
    return Reason(
        FILES, origin(below), "", "", changes.files, count=changes.count, total=changes.total
    )


def origin(below: Step) -> str:
    """Where files come from, in words."""
    if below.is_local:
        name = below.source.removeprefix("local://")
        return "the build context" if name == "context" else f"the context {name}"
    return below.name


def _parent(below: Step) -> Iterator[Reason]:
    if missed(below) and below.kind != "source":
        yield Reason(PARENT, below.name)


def _parents(step: Step, build: Build) -> Iterator[Reason]:
    for item in step.inputs:
        if not item.content:
            yield from _parent(build.steps[item.step])


def _unchanged(pair: _Pair) -> Iterator[Reason]:
    """Nothing differs: a step below ran again, or the result is gone."""
    found = list(_parents(pair.step, pair.build))
    yield from found or [Reason(PRUNED)]
