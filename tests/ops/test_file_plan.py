"""Which actions of a file op are done together, and what is refused."""

from __future__ import annotations

import pytest

from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.ops.file_plan import ActionChain, make_plan


def action(
    input: int = -1, secondary: int = -1, output: int = -1, owner: int | None = None
) -> ops_pb2.FileAction:
    out = ops_pb2.FileAction(input=input, secondaryInput=secondary, output=output)
    if secondary >= 0:
        out.copy.src = "/"
    else:
        out.mkdir.path = "/d"
        if owner is not None:
            out.mkdir.owner.user.byName.name = "u"
            out.mkdir.owner.user.byName.input = owner
    return out


def test_a_chain_is_one_piece_of_work() -> None:
    plan = make_plan([action(0), action(2), action(3, 1, 0)], 2)
    assert plan.chains == (ActionChain(base=0, actions=(0, 1, 2), result=4),)
    assert plan.outputs == (4,)


def test_an_owner_in_what_is_worked_on_does_not_break_it() -> None:
    plan = make_plan([action(0, owner=0), action(1, output=0, owner=1)], 1)
    assert [c.actions for c in plan.chains] == [(0, 1)]


def test_what_others_see_is_committed() -> None:
    plan = make_plan([action(0), action(1, 1, 0)], 1)
    assert [c.actions for c in plan.chains] == [(0,), (1,)]
    plan = make_plan([action(0, output=0), action(1, output=1)], 1)
    assert [c.actions for c in plan.chains] == [(0,), (1,)]
    assert plan.outputs == (1, 2)


def test_a_side_chain_comes_first() -> None:
    plan = make_plan([action(-1), action(0, 1, 0)], 1)
    assert [c.result for c in plan.chains] == [1, 2]
    assert plan.chains[0].base == -1


def test_what_nobody_wants_is_not_done() -> None:
    assert len(make_plan([action(0), action(0, output=0)], 1).chains) == 1


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([action(0)], "no outputs specified"),
        ([action(0, output=1)], "missing output index 0"),
        ([action(0, output=0), action(0, output=0)], "duplicate output 0"),
        ([action(5, output=0)], "invalid input index 5, 2 provided"),
        ([action(0, 9, 0)], "invalid secondary input index 9"),
        ([action(1, output=0)], "loop from index 1"),
        ([action(0, output=0, owner=-2)], "invalid user index: -2"),
    ],
)
def test_what_is_refused(actions: list[ops_pb2.FileAction], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        make_plan(actions, 1)
