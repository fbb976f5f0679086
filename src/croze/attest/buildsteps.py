"""A definition as `mode=max` tells it: numbered steps instead of digests."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeAlias

import msgspec
from msgspec import Struct, field

from croze.api import ops_pb2
from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.files.redact import redact
from croze.gotypes import messages
from croze.llb.marshal import op_blobs
from croze.runtime.contract import ResourceUsage

Json: TypeAlias = dict[str, "Json"] | list["Json"] | str | int | float | bytes | None

_PRIVATE_ATTRS = ("local.session", "local.unique")
_FULL_URL = "git.fullurl"
_FILE_ACTIONS = frozenset({"copy", "mkfile", "mkdir", "rm"})
_EXACT = 1 << 53


class BuildSteps(Struct, frozen=True):
    """A definition as numbered steps. `definition`: steps, inputs first, ending with the one that
    only points at the result. `numbers`: of ops, by digest."""

    definition: list[dict[str, object]] = field(default_factory=list)
    numbers: Mapping[str, int] = field(default_factory=dict)

    def members(self) -> dict[str, object]:
        """The members of the JSON of a build config or a source file, in order."""
        mapping = {digest: f"step{self.numbers[digest]}" for digest in sorted(self.numbers)}
        pairs = {"llbDefinition": self.definition, "digestMapping": mapping}
        return {key: value for key, value in pairs.items() if value}


def build_steps(
    definition: ops_pb2.Definition | None, usage: Mapping[str, ResourceUsage] | None = None
) -> BuildSteps:
    """The steps of a definition. `usage`: what steps used of the machine, by digest. Raises
    `InvalidRequest` for what is no definition."""
    blobs = op_blobs(definition) if definition is not None else []
    if not blobs:
        return BuildSteps()
    ops = {digest_of(data): ops_pb2.Op.FromString(data) for data in blobs}
    last = digest_of(blobs[-1])
    if ops[last].WhichOneof("op") is not None:
        raise InvalidRequest(f"invalid last vertex: {ops[last].WhichOneof('op')}")
    if len(ops[last].inputs) != 1:
        raise InvalidRequest(f"invalid last vertex inputs: {len(ops[last].inputs)}")
    numbers = {digest: number for number, digest in enumerate(_inputs_first(ops, last))}
    steps = [_step(ops[digest], numbers, n) for digest, n in numbers.items()]
    for digest, used in (usage or {}).items():
        if digest in numbers:
            steps[numbers[digest]]["resourceUsage"] = used.members()
    return BuildSteps(steps, numbers)


def _inputs_first(ops: Mapping[str, ops_pb2.Op], last: str) -> list[str]:
    order: dict[str, None] = {}
    stack = [(last, False)]
    while stack:
        digest, ready = stack.pop()
        if ready:
            order[digest] = None
        elif digest not in order:
            if digest not in ops:
                raise InvalidRequest(f"failed to find input {digest}")
            stack.append((digest, True))
            stack.extend((i.digest, False) for i in reversed(ops[digest].inputs))
    return list(order)


def _step(op: ops_pb2.Op, numbers: Mapping[str, int], number: int) -> dict[str, object]:
    inputs = [f"step{numbers[each.digest]}:{each.index}" for each in op.inputs]
    step: dict[str, object] = {"id": f"step{number}", "op": op_json(op)}
    return step | {"inputs": inputs} if inputs else step


def op_json(op: ops_pb2.Op) -> dict[str, object]:
    """An op without its inputs, as Go marshals it. A local source's session is left out."""
    parsed = ops_pb2.Op()
    parsed.CopyFrom(op)
    del parsed.inputs[:]
    if parsed.HasField("source"):
        _hide(parsed.source)
    actions = [_action_json(action) for action in parsed.file.actions]
    if parsed.HasField("file"):
        del parsed.file.actions[:]  # told already
    members = messages.message(parsed)
    inner = members.pop("Op", {})
    if parsed.HasField("file"):
        inner["file"]["actions"] = actions
    return {"Op": inner, **members}


def _hide(source: ops_pb2.SourceOp) -> None:
    """What is no fact of the build, and credentials: provenance is for anyone to read."""
    for key in _PRIVATE_ATTRS:
        source.attrs.pop(key, None)
    source.identifier = redact(source.identifier)
    if _FULL_URL in source.attrs:
        source.attrs[_FULL_URL] = redact(source.attrs[_FULL_URL])


def _action_json(action: ops_pb2.FileAction) -> dict[str, object]:
    """A file action's JSON; unlike other zeros, indexes of 0 stand in it."""
    name = action.WhichOneof("action")
    chosen = messages.message(action).get("Action", {}) if name in _FILE_ACTIONS else {}
    return {
        "input": action.input,
        "secondaryInput": action.secondaryInput,
        "output": action.output,
        "Action": chosen,
    }


def in_order(value: object) -> msgspec.Raw:
    """JSON whose members keep their order."""
    return msgspec.Raw(messages.encode(value))


def through_map(value: object) -> object:
    """A value as it comes out of Go's `map[string]any`: large numbers are floats, and rounded."""
    if isinstance(value, dict):
        return {key: through_map(each) for key, each in value.items()}
    if isinstance(value, list):
        return [through_map(each) for each in value]
    if isinstance(value, int) and abs(value) > _EXACT:
        return int(Decimal(repr(float(value))))
    return value
