"""Reasons as text: in short for warnings and tables, in full for `croze why`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from croze.why.explainer import ExplainedStep
from croze.why.reasons import Reason
from croze.why.record import RecordedBuild

SHOWN_FILES: Final = 3
_SIGNS: Final = {"added": "A", "removed": "D", "changed": "M", "mode": "P"}
_LONGEST: Final = 72
_FIXED: Final = {
    "no-cache": "the cache was not to be used",
    "failed": "nothing changed: it failed the last time",
    "stopped": "nothing changed: it was stopped the last time, before it was done",
    "new": "no earlier result of this line is on record",
}


def short(reasons: Sequence[Reason]) -> str:
    """The reasons on one line."""
    return "; ".join(dict.fromkeys(_short(reason) for reason in reasons))


def summary(build: RecordedBuild, explained: Sequence[ExplainedStep]) -> str:
    """How many steps ran, and why the first did that something is known of; empty if nothing is."""
    line = (
        one
        for one in explained
        if one.compared_ref and any(reason.kind != "parent" for reason in one.reasons)
    )
    if (first := next(line, None)) is None:
        return ""
    steps = sum(not step.internal for step in build.steps)
    name = clip(first.step.name, 60)
    return f"{len(explained)} of {steps} steps ran, from {name}: {clip(short(first.reasons), 120)}"


def _short(reason: Reason) -> str:
    if reason.kind in _FIXED:
        return _FIXED[reason.kind]
    match reason.kind:
        case "files":
            return _short_files(reason)
        case "pruned" if reason.subject:
            return f"its {reason.subject} were removed from the cache"
        case "pruned":
            return "nothing changed: its result was removed from the cache"
        case "shared":
            return f"ran once for this build and for {reason.subject}"
        case "parent":
            return f"follows {place(reason.subject)}"
        case "uncacheable":
            return f"uses {reason.subject} other than by its content"
    return f"{title(reason)}: {clip(reason.old)} → {clip(reason.new)}"


def _short_files(reason: Reason) -> str:
    if not reason.files:
        return f"files changed in {reason.subject}"
    names = [_signed(f.path, f.kind) for f in reason.files[:SHOWN_FILES]]
    more = reason.count - len(names)
    return f"{_count(reason)}: {', '.join(names)}" + (f" and {more} more" if more else "")


def _signed(path: str, kind: str) -> str:
    return path if kind == "changed" else f"{path} ({'permissions' if kind == 'mode' else kind})"


def _count(reason: Reason) -> str:
    return "1 file changed" if reason.count == 1 else f"{reason.count} files changed"


def title(reason: Reason) -> str:
    """What changed, in a few words."""
    subject = reason.subject
    match reason.kind:
        case "argument":
            return f"build argument {subject}"
        case "environment":
            return f"environment variable {subject}"
        case "instruction":
            return subject or "instruction"
        case "base":
            return f"base image {subject}".rstrip()
        case "source":
            return f"source {subject}".rstrip()
        case "mount" | "secret" | "ssh":
            return f"{reason.kind} {subject}"
    return subject or reason.kind


def full(reason: Reason) -> Iterator[str]:
    """All that is known of a reason, line by line."""
    if reason.kind == "parent":
        yield f"follows {clip(reason.subject)}"
    elif reason.kind == "files" and reason.files:
        of = f" of {reason.total}" if reason.total else ""
        what = "file" if reason.count == 1 and not of else "files"
        yield f"{reason.count}{of} {what} changed in {reason.subject}:"
        for item in reason.files:
            yield f"  {_SIGNS[item.kind]} {item.path}"
        if reason.count > len(reason.files):
            yield f"  ... and {reason.count - len(reason.files)} more"
    elif reason.old or reason.new:
        if "\n" in reason.old + reason.new or len(reason.old) + len(reason.new) > _LONGEST:
            yield f"{title(reason)}:"
            yield from _block("-", reason.old)
            yield from _block("+", reason.new)
        else:
            yield f"{title(reason)}: {reason.old or '(empty)'} → {reason.new or '(empty)'}"
    else:
        yield _short(reason)


def _block(sign: str, text: str) -> Iterator[str]:
    for line in (text or "(empty)").splitlines():
        yield f"  {sign} {line}"


def place(name: str) -> str:
    """A step in short: `[build 2/4] COPY`."""
    where, bracket, rest = name.partition("] ")
    if not (bracket and where.startswith("[")):
        return clip(name)
    first = rest.partition(" ")[0]
    return f"{where}] {first}" if where[-1:].isdigit() else clip(name)


def clip(text: str, length: int = _LONGEST) -> str:
    """One line, no longer than so; digests in short."""
    line = " ".join(text.split()) or "(empty)"
    if line.startswith("sha256:") and len(line) == 71:
        return line[:19]
    return line if len(line) <= length else line[: length - 3] + "..."


__all__ = ["clip", "full", "place", "short", "summary", "title"]
