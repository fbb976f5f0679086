"""A target over several nodes: what each of them is asked for, and what they make together.

Each node builds its platforms as an index of its own. What is pushed goes to the repositories by
digest; the names come to a list of all at the end, which `together` puts up.

Source of the rules and texts: buildx `build/build.go`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from croze.aio.threads import abandonable
from croze.client.flags.pairs import is_true
from croze.client.plan import SolvePlan, ToDir
from croze.client.planning import inputs, outputs
from croze.client.planning.builder import BuilderTraits
from croze.client.planning.options import BuildOptions
from croze.errors import InvalidRequest
from croze.image import reference
from croze.image.platform import Platform, format_all

if TYPE_CHECKING:
    from croze.client.connect import Client

DIGEST = "containerimage.digest"
DESCRIPTOR = "containerimage.descriptor"


class BuildNode(Struct, frozen=True, eq=False):
    """A daemon, what a plan must know of it, and its number among the builder's."""

    client: Client
    builder: BuilderTraits
    number: int = 0


class NodePart(Struct, frozen=True):
    """What one node is asked for."""

    node: BuildNode
    options: BuildOptions
    copy: BinaryIO | None = None
    """A copy of standard input, for this part alone."""

    def close(self) -> None:
        """Close the copy of standard input, which has been read."""
        if self.copy is not None:
            self.copy.close()


class PushedParts(Struct, frozen=True):
    """An image whose parts are in their repositories, without a name yet. `parts` are descriptors
    as JSON has them, `attrs` the exporter's."""

    names: tuple[str, ...]
    parts: tuple[Mapping[str, object], ...]
    attrs: Mapping[str, str]


Merge = Callable[[PushedParts], Awaitable[str]]
"""Puts the image up under its names; its digest."""


async def split_build(
    options: BuildOptions, shares: Sequence[tuple[BuildNode, Sequence[Platform]]]
) -> list[NodePart]:
    """The build of each node. What standard input holds, each of them gets. Raises
    `InvalidRequest` for what can't be split."""
    if len(shares) == 1:
        return [NodePart(shares[0][0], options)]
    copies = await _copies(options, len(shares))
    return [
        NodePart(
            replace(node, builder=replace(node.builder, many_nodes=True)),
            replace(options, platforms=[format_all(p) for p in platforms], stdin=stdin),
            stdin if stdin is not options.stdin else None,
        )
        for (node, platforms), stdin in zip(shares, copies, strict=True)
    ]


async def _copies(options: BuildOptions, count: int) -> list[BinaryIO | None]:
    source = options.stdin
    if source is None or not inputs.reads_stdin(options.context, options.dockerfile):
        return [source] * count
    stdin = source

    def copy() -> list[BinaryIO | None]:
        with TemporaryFile() as spool:
            while data := stdin.read(1 << 20):
                spool.write(data)
            spool.flush()
            return [open(f"/proc/self/fd/{spool.fileno()}", "rb") for _ in range(count)]

    return await abandonable(copy)


def push_by_digest(plans: Sequence[SolvePlan]) -> tuple[str, ...]:
    """Make the plans of one target's parts push without names; the names that they had. Raises
    `InvalidRequest` for outputs that several nodes can't write together."""
    names: tuple[str, ...] = ()
    for plan in plans:
        pushing = 0
        for export in plan.exports:
            outputs.check_list(export)
            if export.type in ("oci", "tar"):
                raise InvalidRequest(f"{export.type} for multi-node builds currently not supported")
            if isinstance(export.to, ToDir) and export.to.delete_extra:
                raise InvalidRequest(
                    "local output mode=delete for multi-node builds not supported: each node "
                    "would delete what the others wrote"
                )
            if not is_true(export.attrs, "push"):
                continue
            if export.type == "moby":
                raise InvalidRequest(
                    "multi-node push can't currently be performed with the docker driver, please "
                    "switch to a different driver"
                )
            if export.type != "image":
                continue
            pushing += 1
            names = _names(export.attrs.get("name", ""))
            export.attrs["name"] = ",".join(dict.fromkeys(map(_repository, names)))
            export.attrs["push-by-digest"] = "true"
        if pushing > 1:
            raise InvalidRequest(
                "several outputs that push for multi-node builds not supported: they would have "
                "one name"
            )
    return names


def _names(text: str) -> tuple[str, ...]:
    if not text:
        raise InvalidRequest("tag is needed when pushing to registry")
    return tuple(text.split(","))


def _repository(name: str) -> str:
    return reference.parse(name).name


def together(
    names: tuple[str, ...], plan: SolvePlan, responses: Sequence[Mapping[str, str]]
) -> PushedParts | None:
    """The image that the nodes' answers make together; None when they pushed nothing."""
    parts = [part for response in responses if (part := _descriptor(response))]
    attrs = next((e.attrs for e in plan.exports if is_true(e.attrs, "push-by-digest")), {})
    return PushedParts(names, tuple(parts), attrs) if parts else None


def _descriptor(response: Mapping[str, str]) -> dict[str, object]:
    if DESCRIPTOR in response:
        descriptor: dict[str, object] = json.loads(base64.b64decode(response[DESCRIPTOR]))
        return descriptor
    return {"digest": response[DIGEST]} if response.get(DIGEST) else {}
