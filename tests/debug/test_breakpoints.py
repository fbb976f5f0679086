"""Where breakpoints hit: the cases of buildx's `dap/adapter_test.go`."""

from __future__ import annotations

from croze.api import ops_pb2
from croze.debug.dap.breakpoints import Breakpoints
from croze.debug.dap.protocol import Message

PATH = "/src/Dockerfile"
RANGES = (((10, 0), (10, 10)), ((20, 5), (20, 5)), ((30, 0), (30, 10)), ((35, 2), (35, 7)))
CASES = (
    (10, 5, True),
    (10, -1, False),
    (20, 5, True),
    (20, 4, False),
    (30, 10, True),
    (30, 11, False),
    (35, 4, True),
    (40, 0, False),
)


def position(at: tuple[int, int]) -> ops_pb2.Position:
    return ops_pb2.Position(line=at[0], character=at[1])


def source() -> ops_pb2.Source:
    made = ops_pb2.Source(infos=[ops_pb2.SourceInfo(filename=PATH)])
    for index, (start, end) in enumerate(RANGES):
        where = ops_pb2.Range(start=position(start), end=position(end))
        made.locations[f"doc-{index}"].locations.add(ranges=[where])
    return made


def test_breakpoints_hit_the_ops_at_their_lines() -> None:
    points = Breakpoints()
    put = points.put(PATH.upper(), [{"line": line, "column": at} for line, at, _ in CASES])
    told: list[Message] = []
    found = points.found_in(source(), told.append)
    assert len(found) == 4
    assert [each.verified for each in put] == [hits for _, _, hits in CASES]
    verified = {each.id for each in put if each.verified}
    assert {m["id"] for m in told if m["verified"]} == verified == set(found.values())
    assert [m["reason"] for m in told if not m["verified"]] == ["failed"] * 4
    assert all(each.path == PATH for each in put if each.verified)
    points.found_in(source(), told.append)
    assert len(told) == 8


def test_one_that_was_there_stays() -> None:
    points = Breakpoints()
    (first,) = points.put(PATH, [{"line": 30}])
    points.found_in(source(), lambda _told: None)
    again = points.put(PATH, [{"line": 30, "column": 4}, {"line": 31}])
    assert again[0] is first
    assert again[1].id == 2
    assert points.put(PATH, []) == []
