"""Status events in messages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from croze.daemon.build.status import LARGEST_MESSAGE_BYTES, responses
from croze.errors import SourceDetail
from croze.status import StatusEvent, VertexLog, VertexState, VertexStatus, VertexWarning

DIGEST = "sha256:" + 64 * "a"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = 10_000 * "x"
DOCKERFILE = SourceDetail("Dockerfile", TEXT.encode(), ())


@pytest.mark.parametrize(
    "event",
    [
        VertexState(DIGEST, (), TEXT),
        VertexState(DIGEST, 200 * (DIGEST,), "step"),
        VertexState(DIGEST, (), "step", NOW, NOW, error=TEXT),
        VertexStatus(TEXT, DIGEST, TEXT, 1, 2, NOW),
        VertexLog(DIGEST, 1, TEXT.encode(), NOW),
        VertexWarning(DIGEST, 1, "short", source=DOCKERFILE),
        VertexWarning(DIGEST, 1, "short", detail=(TEXT,)),
    ],
    ids=["name", "inputs", "error", "status", "log", "warning", "detail"],
)
def test_messages_are_no_larger_than_meant(event: StatusEvent) -> None:
    """However much is told of at once: a peer takes no more than 16 MB."""
    sizes = [response.ByteSize() for response in responses([event] * 1000)]
    assert max(sizes) <= LARGEST_MESSAGE_BYTES
    assert len(sizes) <= 2 * sum(sizes) / LARGEST_MESSAGE_BYTES


def test_a_log_comes_before_the_next_start_of_its_vertex() -> None:
    """Else clients show it at a negative time."""
    at = [NOW + timedelta(seconds=second) for second in range(6)]
    events: list[StatusEvent] = [
        VertexState(DIGEST, (), "step", at[0]),
        VertexLog(DIGEST, 1, b"x", at[1]),
        VertexState(DIGEST, (), "step", at[0], at[2]),
        VertexState(DIGEST, (), "step", at[3], at[3], cached=True),
        VertexLog(DIGEST, 1, b"y", at[4]),
    ]
    first, second = responses(events)
    assert [len(first.vertexes), len(first.logs)] == [2, 1]
    assert [len(second.vertexes), len(second.logs)] == [1, 1]
