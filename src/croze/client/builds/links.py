"""Results of targets for those that use them as contexts (`target:NAME`), while their builds are
held open."""

from __future__ import annotations

import asyncio

from croze import errors
from croze.api import gateway_pb2
from croze.client.plan import SolvePlan

LINK = "target:"


class LinkStages:
    """How far a linked target is on one node: its frontend has answered, all is done that the
    answer is made of, and so it is for all who use it. (Failures cancel whoever waits.)"""

    def __init__(self) -> None:
        self._answer: gateway_pb2.Result | None = None
        self._answered = asyncio.Event()
        self.evaluated = asyncio.Event()
        self.completed = asyncio.Event()

    def give(self, result: gateway_pb2.Result) -> None:
        """Note the frontend's answer."""
        self._answer = result
        self._answered.set()

    async def answer(self) -> gateway_pb2.Result:
        """The frontend's answer, as soon as it is there."""
        await self._answered.wait()
        assert self._answer is not None
        return self._answer


def links(plan: SolvePlan) -> dict[str, list[str]]:
    """The attributes that stand for another target's result, by that target."""
    linked: dict[str, list[str]] = {}
    for key, value in sorted(plan.frontend_attrs.items()):
        if key.startswith("context:") and value.startswith(LINK):
            linked.setdefault(value.removeprefix(LINK), []).append(key)
    return linked


def check_alone(plan: SolvePlan) -> None:
    """See that a build without others names no other target. Raises `NotFound`."""
    for target, attrs in links(plan).items():
        name = attrs[0].removeprefix("context:")
        raise errors.NotFound(f"failed to find target {target} for context {name}")


def link(
    plan: SolvePlan, target: str, attrs: list[str], result: gateway_pb2.Result, node: int
) -> None:
    """Build on another target's result where the attributes name it. The input is called what
    buildx calls it, for provenance tells of it: the node's number is in front. The answer to a call
    has nothing to build on, and nothing is."""
    if "requestid" in plan.frontend_attrs and not (result.ref.id or result.refs.refs):
        return
    for attr in attrs:
        del plan.frontend_attrs[attr]
    contexts, inputs = inputs_of(f"{node}-{target}", result, attrs)
    if not inputs:
        raise errors.InvalidRequest(f"target {target} has no result to build on")
    plan.frontend_attrs.update(contexts)
    plan.frontend_inputs.update(inputs)


def inputs_of(
    name: str, result: gateway_pb2.Result, attrs: list[str]
) -> tuple[dict[str, str], dict[str, bytes]]:
    """The attributes and inputs with which a build uses a result, as inputs called `name`, as the
    contexts that `attrs` name (`context:NAME`)."""
    import base64
    import json

    refs = {f"::{platform}": ref for platform, ref in sorted(result.refs.refs.items())}
    if result.WhichOneof("result") == "ref":
        refs = {"": result.ref}
    contexts: dict[str, str] = {}
    inputs: dict[str, bytes] = {}
    for suffix, ref in refs.items():
        key = f"{name}{suffix}"
        inputs[key] = getattr(ref, "def").SerializeToString()
        contexts.update({f"{attr}{suffix}": f"input:{key}" for attr in attrs})
        config = f"containerimage.config{suffix.replace('::', '/')}"
        if config in result.metadata:
            value = base64.b64encode(result.metadata[config]).decode()
            of_image = {"containerimage.config": value}
            contexts[f"input-metadata:{key}"] = json.dumps(of_image, separators=(",", ":"))
    return contexts, inputs
