"""Why a step missed the cache: the step beside the nearest earlier record that would have hit."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from croze.solver.observe import Outcome
from croze.why.reasons import (
    FAILED,
    FILES,
    NEW,
    NO_CACHE,
    PRUNED,
    SHARED,
    STOPPED,
    CompareFiles,
    Comparison,
    Pair,
    Reason,
    parents,
)
from croze.why.record import RecordedBuild, RecordedStep, missed

Gone = Callable[[Sequence[str], int], bool]
"""Whether all these results had been removed at a time (microseconds; 0: by now)."""

_UNLISTED = 1 << 20
"""How far away files are that nobody can name any more."""


class ExplainedStep(msgspec.Struct, frozen=True):
    """A step that missed, and the build it was compared with."""

    step: RecordedStep
    reasons: tuple[Reason, ...]
    compared_ref: str = ""
    compared_us: int = 0


def explain(
    step: RecordedStep,
    build: RecordedBuild,
    earlier: Iterable[RecordedBuild],
    compare: CompareFiles,
    gone: Gone,
) -> ExplainedStep:
    """Why one step missed; for several see `Explainer`."""
    return Explainer(build, earlier, compare, gone).explain(step)


class Explainer:
    """Explains steps of one build. `earlier`: builds of the same scope, newest first."""

    def __init__(
        self,
        build: RecordedBuild,
        earlier: Iterable[RecordedBuild],
        compare: CompareFiles,
        gone: Gone,
    ) -> None:
        self._build = build
        self._texts = {step.text for step in build.steps}
        self._compared = Comparison(compare)
        self._gone = gone
        self._past: list[_Past] = []
        self._compared.contents.learn(build)
        for past in earlier:
            if related(build, past):
                self._past.append(_Past(past))
                self._compared.contents.learn(past)

    def explain(self, step: RecordedStep) -> ExplainedStep:
        """What of the step was no longer as in a build whose result it could have had."""
        if step.ignore_cache:
            return ExplainedStep(step, (Reason(NO_CACHE),))
        pairs = list(self._pairs(step))
        for pair in pairs:
            if _tried(pair.old) and self._compared.same(pair):
                return _explained(pair, self._unchanged(pair))
        had = [pair for pair in pairs if pair.old.results]
        alive = [p for p in had if not self._gone(p.old.results, self._build.created_us)]
        if alive:
            return self._nearest(alive)
        if had:
            return _explained(had[0], (Reason(PRUNED, "earlier results"),))
        return ExplainedStep(step, tuple(parents(step, self._build)) or (Reason(NEW),))

    def _pairs(self, step: RecordedStep) -> Iterator[Pair]:
        """The step beside its line in each earlier build."""
        for past in self._past:
            old = past.nearest(step, self._texts)
            if old is not None:
                yield Pair(step, self._build, old, past.build)

    def _unchanged(self, pair: Pair) -> tuple[Reason, ...]:
        """The very same was tried before: what became of that?"""
        step, old = pair.step, pair.old
        if not old.results:
            failed = old.outcome == Outcome.FAILED.value
            return (Reason(FAILED if failed else STOPPED),)
        if reasons := tuple(parents(step, pair.build)):
            return reasons
        if missed(old) and old.results[0] in step.results[:1]:
            return (Reason(SHARED, pair.old_build.ref),)
        if self._gone(old.results, pair.build.created_us):
            return (Reason(PRUNED),)
        # What was made anew on purpose has all that stands on it made anew, whatever it holds.
        return tuple(parents(step, pair.build, by_content=True))

    def _nearest(self, pairs: Sequence[Pair]) -> ExplainedStep:
        """The one that least differs from; of equals the newest."""
        nearest: dict[bytes, tuple[Pair, tuple[Reason, ...]]] = {}
        for pair in pairs:
            if pair.old.identity not in nearest:
                nearest[pair.old.identity] = pair, self._compared.reasons(pair)
        return _explained(*min(nearest.values(), key=lambda one: _distance(*one)))


def _explained(pair: Pair, reasons: tuple[Reason, ...]) -> ExplainedStep:
    return ExplainedStep(pair.step, reasons, pair.old_build.ref, pair.old_build.created_us)


def _tried(old: RecordedStep) -> bool:
    """Whether there was a result of it, or an attempt at one."""
    return bool(old.results) or old.outcome in (Outcome.FAILED.value, Outcome.RUNNING.value)


def _distance(pair: Pair, reasons: Sequence[Reason]) -> tuple[bool, int, int]:
    files = [r.count or _UNLISTED for r in reasons if r.kind == FILES]
    return pair.step.text != pair.old.text, len(reasons) - len(files), sum(files)


class _Past:
    """An earlier build, its lines by stage."""

    def __init__(self, build: RecordedBuild) -> None:
        self.build = build
        self._by_text: dict[tuple[str, str, str], list[RecordedStep]] = {}
        self._by_place: dict[tuple[str, str, int, str], RecordedStep] = {}
        for step in sorted(build.steps, key=_number):
            stage = (step.where, step.kind)
            self._by_text.setdefault((*stage, step.text), []).append(step)
            self._by_place.setdefault((*stage, step.number, step.instruction), step)

    def nearest(self, step: RecordedStep, texts: set[str]) -> RecordedStep | None:
        """The record of the same line of the same stage: the same text, or else the same number
        and instruction. `texts`: what the build now has; a line that only moved is not another
        one."""
        same = self._by_text.get((step.where, step.kind, step.text))
        if same:
            at = bisect_left(same, step.number, key=_number)
            return min(same[max(0, at - 1) : at + 1], key=lambda s: abs(s.number - step.number))
        old = self._by_place.get((step.where, step.kind, step.number, step.instruction))
        return None if old is None or old.text in texts else old


def _number(step: RecordedStep) -> int:
    return step.number


def related(build: RecordedBuild, past: RecordedBuild) -> bool:
    """Whether two builds of a scope can be of the same Dockerfile: contexts in folders of the same
    name share a scope."""
    texts = {step.text for step in past.steps if not step.internal}
    own = {step.text for step in build.steps if not step.internal}
    return bool(texts & own) or min(len(texts), len(own)) <= 2
