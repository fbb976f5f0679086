"""Records of builds, made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from croze.api import ops_pb2
from croze.fs.content.changed import Changes, FileChange
from croze.fs.content.checksum import Query
from croze.why.record import RecordedBuild, RecordedStep, StepInput, place_of

_NUMBERS = count()


def step(
    name: str,
    op: ops_pb2.Op | None = None,
    *inputs: StepInput,
    kind: str = "exec",
    outcome: str = "ran",
    identity: str = "",
    pin: str = "",
    ignore_cache: bool = False,
    result: str | None = None,
) -> RecordedStep:
    where, number, words = place_of(name, 0)
    data = (op or ops_pb2.Op()).SerializeToString()
    if result is None:
        result = f"result {next(_NUMBERS)}" if outcome in ("ran", "cached") else ""
    made = identity or f"{name}{data.hex()}{pin}{[(i.step, i.content) for i in inputs]}"
    return RecordedStep(
        name=name,
        digest=name,
        where=where,
        number=number,
        text=words,
        line=0,
        kind=kind,
        op=data,
        key="sha256:key",
        pin=pin,
        platform="",
        outcome=outcome,
        ignore_cache=ignore_cache,
        identity=made.encode(),
        inputs=inputs,
        results=(result,) if result else (),
    )


def build(*steps: RecordedStep, ref: str = "now", args: tuple[str, ...] = ()) -> RecordedBuild:
    return RecordedBuild(ref, "scope", "Dockerfile", "", 1, steps=steps, args=args)


def context(content: str, files: str) -> StepInput:
    return StepInput(0, content=content, files=files)


ONE = Changes((FileChange("a", "changed"),), 1, 5)


def compare(old: str, new: str, queries: Sequence[Query]) -> Changes | None:
    return ONE if old != "gone" else None


def run(*env: str, args: str = "make", **mount: str) -> ops_pb2.Op:
    op = ops_pb2.Op()
    op.exec.meta.args.extend(["/bin/sh", "-c", args])
    op.exec.meta.env.extend(env)
    if mount:
        op.exec.mounts.add(dest=mount["dest"], mountType=ops_pb2.CACHE)
        op.exec.mounts[0].cacheOpt.ID = mount["id"]
    return op


def nothing_gone(results: Sequence[str], at_us: int) -> bool:
    return False
