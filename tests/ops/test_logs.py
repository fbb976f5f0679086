"""Clipping of a step's output."""

from __future__ import annotations

import pytest

from croze.ops.logs import LogLimits, StreamLog, human
from tests.ops.conftest import RecordingProgress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def stream(progress: RecordingProgress, limits: LogLimits, clock: Clock) -> StreamLog:
    return StreamLog(progress, 1, limits, clock)


def test_size_limit(clock: Clock) -> None:
    progress = RecordingProgress()
    log = stream(progress, LogLimits(max_size=10, max_speed=-1), clock)
    for _ in range(5):
        log.write(b"123456")
    assert progress.text(1) == "1234561234\n[output clipped, log limit 10B reached]\n"


def test_speed_limit_ends_with_the_second(clock: Clock) -> None:
    progress = RecordingProgress()
    log = stream(progress, LogLimits(max_size=1 << 20, max_speed=2048), clock)
    log.write(bytes(3000))
    log.write(b"lost")
    clock.now = 2.5
    log.write(b"back")
    notice = "\n[output clipped, log limit 2KiB/s reached]\n"
    assert progress.text(1) == "\0" * 2048 + notice + "back"


def test_a_failure_shows_the_end(clock: Clock) -> None:
    progress = RecordingProgress()
    log = stream(progress, LogLimits(max_size=4, max_speed=-1), clock)
    log.write(b"12345678")
    log.write(b"x" * (300 << 10))
    log.write(b"the reason\n")
    log.flush()
    text = progress.text(1)
    assert text.endswith("the reason\n")
    assert len(progress.logs[-1][1]) == 256 << 10
    log.flush()
    assert progress.text(1) == text


def test_no_limits(clock: Clock) -> None:
    progress = RecordingProgress()
    log = stream(progress, LogLimits(-1, -1), clock)
    log.write(bytes(5 << 20))
    assert len(progress.text(1)) == 5 << 20


@pytest.mark.parametrize(
    ("size", "text"), [(2 << 20, "2MiB"), (200 << 10, "200KiB"), (1536, "1.5KiB"), (7, "7B")]
)
def test_sizes(size: int, text: str) -> None:
    assert human(size) == text


def test_output_that_the_daemon_repeats(
    clock: Clock, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    progress = RecordingProgress()
    log = stream(progress, LogLimits.from_env({"BUILDKIT_DEBUG_EXEC_OUTPUT": "1"}), clock)
    log.write(b"one\n")
    assert progress.text(1) == "one\n"
    assert capsysbinary.readouterr().out == b"one\n"
    log = stream(progress, LogLimits.from_env({"BUILDKIT_DEBUG_EXEC_OUTPUT": "true"}), clock)
    log.write(b"two\n")
    assert capsysbinary.readouterr().out == b""


def test_environment() -> None:
    env = {"BUILDKIT_STEP_LOG_MAX_SIZE": "5", "BUILDKIT_STEP_LOG_MAX_SPEED": "x"}
    assert LogLimits.from_env(env) == LogLimits(max_size=5)
