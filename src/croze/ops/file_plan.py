"""The order in which a file op's actions are done.

Actions refer to inputs of the op by 0..n-1, to results of other actions by n + their number. A run
of actions of which each works on what the one before it made is a *chain*: it is done on one
mutable ref, in one go. What anything else needs to see is committed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from msgspec import Struct

from croze.api import ops_pb2
from croze.errors import InvalidRequest

NOTHING = -1
Actions = Sequence[ops_pb2.FileAction]


class ActionChain(Struct, frozen=True):
    """Actions (by number) on top of state `base`; its result is state `result`."""

    base: int
    actions: tuple[int, ...]
    result: int


class FilePlan(Struct, frozen=True):
    """What a file op does. `chains` in an order in which each finds what it needs; `outputs` are
    states."""

    chains: tuple[ActionChain, ...]
    outputs: tuple[int, ...]


def make_plan(actions: Actions, input_count: int) -> FilePlan:
    """The order in which the actions are done. Raises `InvalidRequest` for actions that don't fit
    together."""
    for number, action in enumerate(actions):
        _check(action, number, input_count, len(actions))
    outputs = _outputs(actions, input_count)
    followed = _followed(actions, input_count, set(outputs))
    chains = _needed(_chains(actions, input_count, followed), actions, input_count, outputs)
    return FilePlan(tuple(chains), outputs)


def _check(action: ops_pb2.FileAction, number: int, inputs: int, count: int) -> None:
    states = inputs + count
    for kind, index in (("", action.input), ("secondary ", action.secondaryInput)):
        if not NOTHING <= index < states:
            raise InvalidRequest(f"invalid {kind}input index {index}, {states} provided")
    for index in references(action):
        if index >= inputs + number:
            raise InvalidRequest(f"loop from index {inputs + number}")


def _outputs(actions: Actions, input_count: int) -> tuple[int, ...]:
    outputs: dict[int, int] = {}
    for number, action in enumerate(actions):
        if action.output == NOTHING:
            continue
        if action.output in outputs:
            raise InvalidRequest(f"duplicate output {action.output}")
        outputs[action.output] = input_count + number
    if not outputs:
        raise InvalidRequest("no outputs specified")
    for index in range(len(outputs)):
        if index not in outputs:
            raise InvalidRequest(f"missing output index {index}")
    return tuple(outputs[index] for index in range(len(outputs)))


def owner_of(action: ops_pb2.FileAction) -> ops_pb2.ChownOpt | None:
    """The action's owner, where it has one."""
    kind = action.WhichOneof("action")
    if kind is None or kind == "rm":
        return None
    body = getattr(action, kind)
    owner: ops_pb2.ChownOpt = body.owner
    return owner if body.HasField("owner") else None


def owner_states(action: ops_pb2.FileAction) -> Iterator[int]:
    """States in which a user's or group's name is looked up."""
    owner = owner_of(action)
    if owner is None:
        return
    for option in (owner.user, owner.group):
        if option.WhichOneof("user") == "byName":
            if option.byName.input < 0:
                raise InvalidRequest(f"invalid user index: {option.byName.input}")
            yield option.byName.input


def references(action: ops_pb2.FileAction) -> Iterator[int]:
    """All states that an action needs."""
    for index in (action.input, action.secondaryInput, *owner_states(action)):
        if index != NOTHING:
            yield index


def _followed(actions: Actions, input_count: int, outputs: set[int]) -> set[int]:
    """States that only the next action of a chain sees."""
    uses: Counter[int] = Counter()
    bases: set[int] = set()
    for action in actions:
        if action.input >= input_count:
            bases.add(action.input)
        if action.input != NOTHING:
            uses[action.input] += 1
        if action.secondaryInput != NOTHING:
            uses[action.secondaryInput] += 1
        # Names looked up in what the action works on don't make it visible to anyone else.
        uses.update(index for index in owner_states(action) if index != action.input)
    return {state for state in bases if uses[state] == 1 and state not in outputs}


def _chains(actions: Actions, input_count: int, followed: set[int]) -> list[ActionChain]:
    open_chains: dict[int, list[int]] = {}
    chains: list[ActionChain] = []
    for number, action in enumerate(actions):
        state = input_count + number
        members = open_chains.pop(action.input, []) if action.input in followed else []
        members.append(number)
        if state in followed:
            open_chains[state] = members
        else:
            chains.append(ActionChain(actions[members[0]].input, tuple(members), state))
    return chains


def _needed(
    chains: Sequence[ActionChain], actions: Actions, input_count: int, outputs: Sequence[int]
) -> list[ActionChain]:
    """The chains that lead to an output; references go backwards only."""
    needed = set(outputs)
    needed_chains = []
    for chain in reversed(chains):
        if chain.result in needed:
            needed_chains.append(chain)
            own = {input_count + number for number in chain.actions}
            for number in chain.actions:
                needed.update(i for i in references(actions[number]) if i not in own)
    return needed_chains[::-1]
