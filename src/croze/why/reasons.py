"""Why two steps of the same line have different cache keys, as far as two records tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from croze.fs.content.changed import Changes, FileChange
from croze.fs.content.checksum import Query
from croze.why.differ import Difference, differences
from croze.why.record import RecordedBuild, RecordedStep, StepInput, missed

FILES: Final = "files"
ARGUMENT: Final = "argument"
INSTRUCTION: Final = "instruction"
BASE: Final = "base"
NO_CACHE: Final = "no-cache"
PARENT: Final = "parent"
PRUNED: Final = "pruned"
FAILED: Final = "failed"
STOPPED: Final = "stopped"
SHARED: Final = "shared"
NEW: Final = "new"
UNCACHEABLE: Final = "uncacheable"

CompareFiles = Callable[[str, str, Sequence[Query]], Changes | None]
"""How two kept lists of files differ; None if one of them is gone."""


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that made a step miss.

    `kind`: `files`, `argument`, `environment`, `instruction`, `base`, `source`, `mount`, `secret`,
    `ssh`, `option`, `platform`, `no-cache`, `pruned`, `failed`, `stopped`, `shared`, `parent`,
    `new` or `uncacheable`. `subject` names what changed, from `old` to `new`; for `files` it is
    where they are, for `parent` the step that missed first, for `shared` the other build.
    """

    kind: str
    subject: str = ""
    old: str = ""
    new: str = ""
    files: tuple[FileChange, ...] = ()
    count: int = msgspec.field(default=0, name="fileCount")
    total: int = msgspec.field(default=0, name="fileTotal")


_PairKey = tuple[str, str, str]
"""The steps' digests, and the earlier build."""


class Pair(Struct, frozen=True):
    """A step now and the one that it is compared with, each with its build."""

    step: RecordedStep
    build: RecordedBuild
    old: RecordedStep
    old_build: RecordedBuild

    @property
    def key(self) -> _PairKey:
        return self.step.digest, self.old.digest, self.old_build.ref

    def below(self, before: StepInput, after: StepInput) -> Pair:
        """What an input of each of them is."""
        return Pair(
            self.build.steps[after.step],
            self.build,
            self.old_build.steps[before.step],
            self.old_build,
        )


class Contents:
    """The digests of what results held when somebody asked. Who found a result by definition did
    not ask: what was said of the same result before is true of it still."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, str, bytes], StepInput] = {}

    def learn(self, build: RecordedBuild) -> None:
        """Remember all that a build knew."""
        for step in build.steps:
            for item in step.inputs:
                if item.content:
                    for key in self._keys(item, build):
                        self._known.setdefault(key, item)

    def complete(self, item: StepInput, build: RecordedBuild) -> StepInput:
        """The input with its content, if that is known."""
        if item.content or not item.queries:
            return item
        for key in self._keys(item, build):
            if (remembered := self._known.get(key)) is not None:
                return msgspec.structs.replace(
                    item, content=remembered.content, files=remembered.files
                )
        return item

    @staticmethod
    def _keys(item: StepInput, build: RecordedBuild) -> Iterator[tuple[str, int, str, bytes]]:
        queries = msgspec.json.encode(item.queries)
        for result in build.steps[item.step].results:
            yield result, item.output, item.selector, queries


class Comparison:
    """Compares steps of one build with earlier ones."""

    def __init__(self, compare: CompareFiles) -> None:
        self.contents = Contents()
        self._compare = compare
        self._same: dict[_PairKey, bool] = {}
        """What is known of pairs: a step asks about all that it stands on."""

    def same(self, pair: Pair) -> bool:
        """Whether two steps did the same to the same, as far as both builds know."""
        above: dict[_PairKey, _PairKey | None] = {}
        """The pairs that were looked at, and for which other."""
        stack: list[tuple[Pair, _PairKey | None]] = [(pair, None)]
        while stack:
            one, upper = stack.pop()
            if one.step.identity == one.old.identity or one.key in above:
                continue
            above[one.key] = upper
            memo = self._same.get(one.key)
            below = [] if memo else None if memo is False else self._below(one)
            if below is None:
                at: _PairKey | None = one.key
                while at is not None:
                    self._same[at], at = False, above[at]
                return False
            stack += [(each, one.key) for each in below]
        self._same.update(dict.fromkeys(above, True))
        return True

    def _below(self, pair: Pair) -> list[Pair] | None:
        """What has to be the same for two steps to be; None if they are not."""
        step, old = pair.step, pair.old
        if (step.op, len(step.inputs)) != (old.op, len(old.inputs)):
            return None
        if not step.inputs and step.pin != old.pin:
            return None
        below = []
        for before, after in self._inputs(pair):
            if not (before.content and after.content):
                below.append(pair.below(before, after))
            elif before.content != after.content:
                return None
        return below

    def reasons(self, pair: Pair) -> tuple[Reason, ...]:
        """All that differs, each once."""
        return tuple(dict.fromkeys(self._reasons(pair)))

    def _reasons(self, pair: Pair) -> Iterator[Reason]:
        """The reasons of each pair that counts, once: many ways may lead to the same one."""
        seen = {pair.key}
        stack = [self._of_pair(pair)]
        while stack:
            item = next(stack[-1], None)
            if item is None:
                stack.pop()
            elif isinstance(item, Reason):
                yield item
            elif item.key not in seen:
                seen.add(item.key)
                stack.append(self._of_pair(item))

    def _of_pair(self, pair: Pair) -> Iterator[Reason | Pair]:
        """Why two steps differ, or pairs below them whose reasons are theirs."""
        step, old = pair.step, pair.old
        if step.identity == old.identity:
            return
        yield from _own(pair)
        if len(step.inputs) != len(old.inputs):
            if step.text == old.text:
                yield Reason(INSTRUCTION, "what it takes from other stages")
            return
        # What is copied says more than what it is copied onto.
        for before, after in sorted(self._inputs(pair), key=lambda p: not p[1].content):
            yield from self._input(pair, before, after)

    def _inputs(self, pair: Pair) -> list[tuple[StepInput, StepInput]]:
        complete = self.contents.complete
        return [
            (complete(before, pair.old_build), complete(after, pair.build))
            for before, after in zip(pair.old.inputs, pair.step.inputs, strict=True)
        ]

    def _input(self, pair: Pair, before: StepInput, after: StepInput) -> Iterator[Reason | Pair]:
        lower = pair.below(before, after)
        below, below_old = lower.step, lower.old
        if before.content and after.content:
            if before.content != after.content:
                yield self._files(before, after, below)
                yield from parent(below)
        elif below.is_local:
            yield Reason(UNCACHEABLE, origin(below))
        elif self.same(lower):
            return
        elif below.kind == "source" and below_old.kind == "source":
            yield _source(below_old, below)
        elif below.internal:
            return
        elif missed(below) or not same_line(below, below_old):
            yield Reason(PARENT, below.name)
        else:
            # It was found, but it is not what it was: what it differs in is the reason.
            yield lower

    def _files(self, before: StepInput, after: StepInput, below: RecordedStep) -> Reason:
        changes = None
        same = msgspec.json.encode(before.queries) == msgspec.json.encode(after.queries)
        if before.files and after.files and same:
            changes = self._compare(before.files, after.files, after.queries)
        if changes is None or not changes.count:
            return Reason(FILES, origin(below), before.content, after.content)
        return Reason(
            FILES, origin(below), "", "", changes.files, count=changes.count, total=changes.total
        )


def same_line(step: RecordedStep, old: RecordedStep) -> bool:
    """Whether a step is what became of an earlier one."""
    if (step.where, step.kind) != (old.where, old.kind):
        return False
    place = (step.number, step.instruction) == (old.number, old.instruction)
    return place or step.text == old.text


def _own(pair: Pair) -> Iterator[Reason]:
    """What differs in the step itself."""
    rewritten = pair.step.text != pair.old.text
    if rewritten and pair.step.kind != "source":
        yield Reason(INSTRUCTION, "", pair.old.text, pair.step.text)
    for difference in differences(pair.old.op, pair.step.op):
        if difference.kind == "source":
            yield _source(pair.old, pair.step)
        elif not (rewritten and difference.kind == INSTRUCTION):
            yield _reason(difference, pair.build)
    if pair.old.pin != pair.step.pin and pair.old.source == pair.step.source:
        yield _source(pair.old, pair.step)


def _reason(difference: Difference, build: RecordedBuild) -> Reason:
    declared = difference.kind == "environment" and difference.subject in build.args
    kind = ARGUMENT if declared else difference.kind
    return Reason(kind, difference.subject, difference.old, difference.new)


def _source(old: RecordedStep, new: RecordedStep) -> Reason:
    """A base image or another source that is not what it was."""
    name, old_digest = _split(old)
    new_name, new_digest = _split(new)
    kind = BASE if new.source.startswith(("docker-image://", "oci-layout://")) else "source"
    if name == new_name:
        return Reason(kind, new_name, old_digest, new_digest)
    return Reason(kind, "", f"{name}@{old_digest}".rstrip("@"), f"{new_name}@{new_digest}")


def _split(step: RecordedStep) -> tuple[str, str]:
    name, _, digest = step.source.partition("://")[2].partition("@")
    return name.removeprefix("docker.io/library/").removeprefix("docker.io/"), digest or step.pin


def origin(below: RecordedStep) -> str:
    """Where files come from, in words."""
    if below.is_local:
        name = below.source.removeprefix("local://")
        return "the build context" if name == "context" else f"the context {name}"
    return below.name


def parent(below: RecordedStep) -> Iterator[Reason]:
    """The reason for a step whose input ran anew: that one."""
    if missed(below) and below.kind != "source":
        yield Reason(PARENT, below.name)


def parents(
    step: RecordedStep, build: RecordedBuild, *, by_content: bool = False
) -> Iterator[Reason]:
    """Steps that ran anew, and whose content has no say; or also those where it has."""
    for item in step.inputs:
        if by_content or not item.content:
            yield from parent(build.steps[item.step])
