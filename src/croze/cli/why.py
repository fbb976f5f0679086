"""`croze why`: what made the steps of a build miss the cache."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from croze.cli.daemon import with_client
from croze.cli.flags import Flags, UsageError
from croze.cli.table import age
from croze.errors import NotFound
from croze.gotypes.moments import rfc3339

if TYPE_CHECKING:
    from croze.cli.common import Common
    from croze.client.connect import Client
    from croze.client.crozed.why import Explanation, Step

_REF = re.compile(r"[a-z0-9]{6,}")
MISSED = ("ran", "failed", "running")


MOST_DIGITS = 10
"""The most digits of a number that a daemon is told."""


def run(argv: Sequence[str], common: Common) -> int:
    """Tell of the latest build, or the one that is named: all steps that missed, or the one
    selected."""
    about = "Show why the steps of a build missed the cache"
    flags = Flags("croze why", about, "[OPTIONS] [STEP | REF]")
    flags.text("--format", help='Format of the output: "text" or "json"')
    flags.text("--files", help="How many changed files are listed (default 20)")
    flags.add_argument("which", metavar="STEP | REF", nargs="?")
    flags.add_argument("step", metavar="STEP", nargs="?")
    args = flags.read(argv, common)
    if args.format not in ("", "text", "json"):
        raise UsageError(f"invalid format {args.format}: use text or json", "croze why")
    if args.files and not (args.files.isdecimal() and len(args.files) < MOST_DIGITS):
        raise UsageError(f"invalid number of files: {args.files}", "croze why")

    async def ask(client: Client) -> tuple[Explanation, str]:
        from croze.client.crozed.why import explain

        files, which = int(args.files or 0), args.which or ""
        if args.step or _REF.fullmatch(which):
            try:
                return await explain(client.channel, which, files=files), args.step or ""
            except NotFound:
                if args.step:
                    raise
        return await explain(client.channel, files=files), which

    explanation, step = with_client(common, ask)
    steps = select(explanation, step)
    if args.format == "json":
        print(json.dumps(as_json(explanation, steps), indent=2, ensure_ascii=False))
    else:
        print("\n".join(as_text(explanation, steps, chosen=bool(step))))
    return 0


def select(explanation: Explanation, name: str) -> list[Step]:
    """The steps that missed; or those that `name` names: a number as shown (`2/4`,
    `build 2/4`), `FILE:LINE`, or a part of the instruction. Raises `NotFound`."""
    if not name:
        return [step for step in explanation.steps if step.outcome in MISSED]
    steps = [step for step in explanation.steps if names(name, step, explanation.file)]
    if not steps:
        raise NotFound(f"no step of build {explanation.ref} is called {name}")
    return steps


def names(name: str, step: Step, file: str) -> bool:
    """Whether the user's word for a step means this one."""
    if step.line and name in (f"{file}:{step.line}", f":{step.line}"):
        return True
    inside = step.name.partition("]")[0].removeprefix("[")
    place = name.strip("[]")
    if re.search(r"\d+/\d+$", place):
        return inside == place or inside.endswith(f" {place}")
    return name.lower() in step.name.lower()


def as_text(explanation: Explanation, steps: Sequence[Step], *, chosen: bool) -> Iterator[str]:
    """The explanation as people read it, line by line."""
    missed = sum(step.outcome in MISSED for step in explanation.steps)
    when = age(time.time() - explanation.created_at.seconds)
    target = f", target {explanation.target}" if explanation.target else ""
    yield f"Build {explanation.ref} of {explanation.file}{target}, {when}"
    if not chosen:
        yield summary(missed, len(explanation.steps))
    for step in steps:
        place = f"  ({explanation.file}:{step.line})" if step.line else ""
        yield f"\n{step.name}{place}"
        yield from (f"  {line}" for line in step_lines(step, failed=explanation.failed))
    compared = {(s.compared_ref, s.compared_at.seconds) for s in steps if s.compared_ref}
    if compared:
        yield ""
    for ref, seconds in sorted(compared, key=lambda item: -item[1]):
        yield f"Compared with build {ref}, {age(time.time() - seconds)}"


def summary(missed: int, total: int) -> str:
    """How many of a build's steps missed the cache, in a sentence."""
    match missed, total:
        case 0, 0:
            return "The build had no steps."
        case 0, 1:
            return "The only step was in the cache."
        case 1, 1:
            return "The only step missed the cache."
        case 0, _:
            return f"All {total} steps were in the cache."
    return f"{missed} of {total} steps missed the cache."


def step_lines(step: Step, *, failed: bool) -> Iterator[str]:
    """What is told of one step; `failed`: its build was, so that steps were not reached."""
    if step.outcome == "cached":
        yield "in the cache"
    elif step.outcome not in MISSED:
        yield "not reached" if failed else "not needed: what follows was in the cache"
    elif not step.reasons:
        yield "nothing is on record that says why"
    for reason in step.reasons:
        yield from reason.text
    if step.outcome == "failed":
        yield "the step failed"
    if step.outcome == "running":
        yield "the step was stopped before it was done"


def as_json(explanation: Explanation, steps: Sequence[Step]) -> dict[str, object]:
    """The explanation as programs read it."""
    return {
        "ref": explanation.ref,
        "file": explanation.file,
        "target": explanation.target,
        "createdAt": rfc3339(explanation.created_at),
        "failed": explanation.failed,
        "steps": [step_json(step) for step in steps],
    }


def step_json(step: Step) -> dict[str, object]:
    """A step as programs read it; reasons have only the members that they need."""
    members: dict[str, object] = {"name": step.name, "line": step.line, "outcome": step.outcome}
    members["reasons"] = [
        {
            key: value
            for key, value in (
                ("kind", reason.kind),
                ("subject", reason.subject),
                ("old", reason.old),
                ("new", reason.new),
                ("files", [{"path": f.path, "kind": f.kind} for f in reason.files]),
                ("fileCount", reason.file_count),
                ("fileTotal", reason.file_total),
            )
            if value
        }
        for reason in step.reasons
    ]
    if step.compared_ref:
        members["comparedWith"] = step.compared_ref
    return members
