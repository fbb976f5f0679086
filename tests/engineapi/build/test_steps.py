"""The steps of a Dockerfile, and how they are told."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from croze.api.control_pb2 import StatusResponse, Vertex, VertexLog
from croze.engineapi.build.steps import StepLines, steps_of
from croze.errors import InvalidRequest

STAGES = b"""ARG V
FROM base AS one
ENV A=b
RUN make \\
  it
FROM other AS unused
COPY . /
FROM one
COPY --from=one /a /b
CMD x
"""


def test_only_what_the_target_needs() -> None:
    steps = steps_of(STAGES, "")
    assert [step.text.split()[0] for step in steps] == [
        "ARG",
        "FROM",
        "ENV",
        "RUN",
        "FROM",
        "COPY",
        "CMD",
    ]
    assert [(step.stage, step.place) for step in steps if step.place] == [
        ("one", 1),
        ("one", 2),
        ("stage-2", 1),
    ]
    assert len(steps_of(STAGES, "ONE")) == 4
    assert steps_of(b"FROM a", "", ["l=v"])[-1].text == "LABEL l=v"
    with pytest.raises(InvalidRequest, match="failed to reach build target none in Dockerfile"):
        steps_of(STAGES, "none")


def test_a_base_with_variables_may_be_any_stage() -> None:
    steps = steps_of(b"ARG B=a\nFROM x AS a\nFROM x AS b\nFROM $B", "")
    assert len([step for step in steps if step.base]) == 3


def _vertex(name: str, *, cached: bool = False, done: bool = True) -> Vertex:
    at = Timestamp(seconds=1)
    return Vertex(
        digest=f"sha256:{name}",
        name=name,
        cached=cached,
        started=at,
        completed=at if done else None,
    )


def test_told_in_the_order_of_the_dockerfile() -> None:
    telling = StepLines(steps_of(b"FROM a\nENV A=b\nRUN one\nRUN two\nCMD x", ""))
    base, one, two = "[1/3] FROM a@sha256:" + "1" * 64, "[2/3] RUN one", "[3/3] RUN two"

    def feed(status: StatusResponse) -> list[object]:
        return [line["stream"] for line in telling.feed(status) if line["stream"] != "\n"]

    assert feed(StatusResponse(vertexes=[_vertex(two)])) == ["Step 1/5 : FROM a"]
    assert feed(StatusResponse(vertexes=[_vertex(base)])) == [
        f" ---> {'1' * 12}\n",
        "Step 2/5 : ENV A=b",
    ]
    log = VertexLog(vertex=f"sha256:{one}", stream=2, msg=b"no\n")
    assert feed(StatusResponse(vertexes=[_vertex(one, done=False)], logs=[log])) == [
        "Step 3/5 : RUN one",
        f" ---> Running in {one[:12]}\n",
        "\x1b[91mno\n\x1b[0m",
    ]
    assert feed(StatusResponse(vertexes=[_vertex(one)])) == [
        f"Removing intermediate container {one[:12]}\n",
        f" ---> {one[:12]}\n",
        "Step 4/5 : RUN two",
        f" ---> Running in {two[:12]}\n",
        f"Removing intermediate container {two[:12]}\n",
        f" ---> {two[:12]}\n",
        "Step 5/5 : CMD x",
    ]
    assert telling.end() == []


def test_what_is_cached_says_so() -> None:
    telling = StepLines(steps_of(b"FROM a\nENV A=b\nRUN one", ""))
    vertices = [_vertex("[1/2] FROM a"), _vertex("[2/2] RUN one", cached=True)]
    told = [line["stream"] for line in telling.feed(StatusResponse(vertexes=vertices))]
    assert told.count(" ---> Using cache\n") == 2


def test_what_has_no_vertices_is_told_at_the_end() -> None:
    telling = StepLines(steps_of(b"FROM a\nRUN one", ""))
    assert len(telling.feed(StatusResponse())) == 2
    assert [line["stream"] for line in telling.end()][-2:] == ["Step 2/2 : RUN one", "\n"]
