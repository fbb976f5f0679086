"""What is remembered of a build: one small record for each step.

A step is the vertex without what differs from build to build by nature: digests of other vertices,
the id of the session.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from croze.api import ops_pb2
from croze.fs.content.checksum import Query
from croze.ops.content import ContentKey
from croze.ops.load import LoadedOp
from croze.ops.source import SourceOp
from croze.patterns import lazy_pattern
from croze.solver.observe import InputFacts, Outcome, VertexFacts

COMMAND: Final = "com.docker.dockerfile.v1.command"
_SESSION_ATTRS: Final = (
    "local.session",
    "local.unique",
    "local.sharedkeyhint",
    "oci.session",
    "oci.store",
)
_NAME: Final = lazy_pattern(
    r"\[(?P<where>.*?) ?(?P<number>\d+)/(?P<total>\d+)\] (?P<text>.*)", re.S
)


class StepInput(msgspec.Struct, frozen=True, array_like=True):
    """What a step stands on. `step` is a position among the build's steps. With a `content` the
    files that `queries` select count, and `files` names their kept list, if there is one."""

    step: int
    output: int = 0
    selector: str = ""
    content: str = ""
    queries: tuple[Query, ...] = ()
    files: str = ""


class RecordedStep(msgspec.Struct, frozen=True, array_like=True):
    """One vertex. `where` (stage, platform) and `number` are its place, `text` is the instruction
    as written; `identity` is equal for steps that do the same to the same."""

    name: str
    digest: str
    where: str
    number: int
    text: str
    line: int
    kind: str
    op: bytes
    key: str
    """The digest of the first cache map; empty if it was never asked for."""
    pin: str
    platform: str
    outcome: str
    ignore_cache: bool
    identity: bytes
    inputs: tuple[StepInput, ...] = ()
    results: tuple[str, ...] = ()
    """Ids of what the cache had for it when the build was over; what the build used first."""

    @property
    def internal(self) -> bool:
        """Whether it is no line of the user's: the context, the Dockerfile itself."""
        return self.name.startswith("[internal]") or self.is_local

    @property
    def is_local(self) -> bool:
        return self.kind == "source" and self.source.startswith("local://")

    @property
    def source(self) -> str:
        """The identifier of a source."""
        op = ops_pb2.Op.FromString(self.op)
        return op.source.identifier if self.kind == "source" else ""

    @property
    def instruction(self) -> str:
        """`COPY`, `RUN`, ..."""
        return self.text.partition(" ")[0].upper()


class RecordedBuild(msgspec.Struct, frozen=True, array_like=True):
    """One build. `scope` is equal for builds of the same Dockerfile and context."""

    ref: str
    scope: str
    file: str
    target: str
    created_us: int
    failed: bool = False
    steps: tuple[RecordedStep, ...] = ()
    args: tuple[str, ...] = ()
    """Names that the Dockerfile declares with ARG."""


Files = Mapping[tuple[str, int], str]
"""Names of kept lists of files, by vertex digest and number of the input."""


def make_steps(
    facts: Iterable[VertexFacts], lines: Mapping[str, int], files: Files
) -> tuple[RecordedStep, ...]:
    """Records of vertices, inputs first. `lines`: where vertices come from, by op digest."""
    positions: dict[str, int] = {}
    steps: list[RecordedStep] = []
    for fact in facts:
        step = _step(fact, positions, steps, lines, files)
        if step is not None:
            positions[fact.vertex.digest] = len(steps)
            steps.append(step)
    return tuple(steps)


def _step(
    facts: VertexFacts,
    positions: Mapping[str, int],
    steps: Sequence[RecordedStep],
    lines: Mapping[str, int],
    files: Files,
) -> RecordedStep | None:
    vertex, loaded = facts.vertex, facts.vertex.op
    if not isinstance(loaded, LoadedOp):
        return None
    kind = loaded.op.WhichOneof("op") or ""
    inputs = tuple(
        _input(item, positions[item.edge.vertex.digest], files.get((vertex.digest, number), ""))
        for number, item in enumerate(facts.inputs)
        if item.edge.vertex.digest in positions
    )
    name = " ".join(vertex.name.split())
    where, number, text = place_of(name, len(steps))
    op = _plain(loaded.op)
    key = facts.maps[0].digest if facts.maps else ""
    pin = facts.op.pin if isinstance(facts.op, SourceOp) else ""
    return RecordedStep(
        name=name,
        digest=vertex.digest,
        where=where,
        number=number,
        text=vertex.description.get(COMMAND) or text,
        line=lines.get(vertex.llb_digest or vertex.digest, 0),
        kind=kind,
        op=op,
        key=key,
        pin=pin,
        platform=str(loaded.op.platform.Architecture),
        outcome=facts.outcome.value,
        ignore_cache=vertex.ignore_cache,
        identity=_identity(op, pin, inputs, steps),
        inputs=inputs,
        results=facts.stored,
    )


def place_of(name: str, position: int) -> tuple[str, int, str]:
    """Stage, number and text of `[build 2/4] COPY src ./`; the position where a name has none."""
    match = _NAME.fullmatch(name)
    if match is None:
        return "", position, name
    return match["where"].strip(), int(match["number"]), match["text"]


def _input(facts: InputFacts, position: int, files: str) -> StepInput:
    return StepInput(
        position,
        facts.edge.index,
        facts.keying.selector,
        facts.content,
        content_queries(facts),
        files,
    )


def content_queries(facts: InputFacts) -> tuple[Query, ...]:
    """Which files of an input count, where their content does."""
    content = facts.keying.content
    return content.queries if isinstance(content, ContentKey) else ()


def _plain(op: ops_pb2.Op) -> bytes:
    """The op without what differs from build to build."""
    plain = ops_pb2.Op()
    plain.CopyFrom(op)
    for item in plain.inputs:
        item.digest = ""
    if plain.WhichOneof("op") == "source":
        for name in _SESSION_ATTRS:
            plain.source.attrs.pop(name, None)
    if plain.WhichOneof("op") == "exec":
        plain.exec.meta.ClearField("proxy_env")
    return plain.SerializeToString(deterministic=True)


def _identity(
    op: bytes, pin: str, inputs: Sequence[StepInput], steps: Sequence[RecordedStep]
) -> bytes:
    """Where content is known it stands for the step that made it, as in cache keys."""
    hashed = hashlib.sha256(op)
    if not inputs:
        hashed.update(pin.encode())
    for item in inputs:
        below = item.content.encode() or steps[item.step].identity
        hashed.update(b"\0%d\0%s\0%s" % (item.output, item.selector.encode(), below))
    return hashed.digest()[:16]


def missed(step: RecordedStep) -> bool:
    """Whether the step had to run: it has, has failed, or was still running."""
    return step.outcome in _MISSED


_MISSED: Final = frozenset((Outcome.RAN.value, Outcome.FAILED.value, Outcome.RUNNING.value))
