"""Builds while they run: awaited, gone through, cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import io

import pytest

from croze.errors import Canceled, CrozeError
from croze.progress.display import Display
from croze.progress.events import Event, StepDone, StepLog, StepStarted
from croze.progress.quiet import QuietDisplay
from croze.sdk import running
from croze.sdk.results import Result
from croze.sdk.running import Build
from croze.sdk.streams import standard_error
from tests.progress.statuses import log, vertex, warning
from tests.support.cancelled import cancelled_at

RESULT = Result("ref", "sha256:1", "sha256:2", ("app:<1>",), {}, ())


class Work:
    """A build of one step, which goes on when it is let."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun, self.go = asyncio.Event(), asyncio.Event()
        self.cancelled = False
        self._error = error

    async def __call__(self, display: Display) -> Result:
        display.update(vertex("a", "[app 1/1] RUN <make>", 0))
        display.update(log("a", "<b>bold</b>\n", 1))
        self.begun.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self._error is not None:
            display.update(vertex("a", "[app 1/1] RUN <make>", 0, 1, error="exit code: 1"))
            raise self._error
        display.update(warning("a", "careful"))
        display.update(vertex("a", "[app 1/1] RUN <make>", 0, 2))
        return RESULT


async def test_events_come_to_whoever_asks_early_or_late() -> None:
    async with asyncio.TaskGroup() as group:
        work = Work()
        build = Build(group, work, QuietDisplay())

        async def events() -> list[Event]:
            return [event async for event in build]

        early = group.create_task(events())
        await work.begun.wait()
        assert build.status == "running"
        work.go.set()
        assert await build is RESULT
        assert await early == await events()
        names = [type(event).__name__ for event in await early]
        assert names == ["StepStarted", "StepLog", "BuildWarning", "StepDone"]
        first, said, _, last = await early
        assert isinstance(first, StepStarted)
        assert first.step.stage == "app"
        assert isinstance(said, StepLog)
        assert said.text == "<b>bold</b>\n"
        assert isinstance(last, StepDone)
        assert (last.seconds, last.cached, last.error) == (2, False, "")
        assert build.status == "completed"
        assert [w.message for w in build.warnings] == ["careful"]


async def test_a_failure_is_raised_where_it_is_awaited_and_at_the_end_of_the_events() -> None:
    async with asyncio.TaskGroup() as group:
        work = Work(CrozeError("no such thing"))
        work.go.set()
        build = Build(group, work, QuietDisplay())
        with pytest.raises(CrozeError, match="no such thing"):
            await build
        seen: list[Event] = []

        async def see() -> None:
            async for event in build:
                seen.append(event)

        with pytest.raises(CrozeError, match="no such thing"):
            await see()
        assert isinstance(seen[-1], StepDone)
        assert build.status == "failed"


async def test_whoever_is_cancelled_cancels_the_build() -> None:
    for ways in ("await", "iterate"):
        async with asyncio.TaskGroup() as group:
            work = Work()
            build = Build(group, work, QuietDisplay())

            async def wait(build: Build[Result] = build, ways: str = ways) -> None:
                if ways == "await":
                    await build
                async for _ in build:
                    pass

            waiting = group.create_task(wait())
            await work.begun.wait()
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert work.cancelled
            assert build.status == "canceled"
            with pytest.raises(Canceled):
                await build


async def test_who_is_cancelled_at_any_step_is_cancelled() -> None:
    """As the build comes to its end, too: neither its result nor its own failure counts then."""
    for error in (None, CrozeError("no such thing")):

        async def build(error: Exception | None = error) -> None:
            async with asyncio.TaskGroup() as group:
                work = Work(error)
                work.go.set()
                with contextlib.suppress(CrozeError) if error else contextlib.nullcontext():
                    await Build(group, work, QuietDisplay())

        steps = 1
        while not await cancelled_at(steps, build):
            steps += 1
        assert steps > 3


async def test_a_build_can_be_cancelled_before_it_has_begun() -> None:
    async with asyncio.TaskGroup() as group:
        build = Build(group, Work(), QuietDisplay())
        await build.cancel()
        with pytest.raises(Canceled):
            await build
        assert build.status == "canceled"


async def test_what_nobody_looked_at_is_raised_at_the_end() -> None:
    async with asyncio.TaskGroup() as group:
        work = Work(CrozeError("no such thing"))
        work.go.set()
        build = Build(group, work, QuietDisplay())
        with pytest.raises(CrozeError, match="no such thing"):
            await build.finish()
        await build.finish()


async def test_the_events_of_a_long_build_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "KEPT_EVENTS", 10)

    async def work(display: Display) -> Result:
        display.update(vertex("a", "x", 0))
        for number in range(100):
            display.update(log("a", f"{number}\n", 1))
        return RESULT

    async with asyncio.TaskGroup() as group:
        build = Build(group, work, QuietDisplay())
        await build
        last = [event.text async for event in build if isinstance(event, StepLog)]
        assert 10 <= len(last) <= 20
        assert last[-1] == "99\n"


async def test_a_notebook_shows_steps_and_result_and_nothing_of_theirs_is_html() -> None:
    async with asyncio.TaskGroup() as group:
        work = Work()
        build = Build(group, work, QuietDisplay())
        await work.begun.wait()
        shown = build._repr_html_()
        assert "running" in shown
        assert "&lt;make&gt;" in shown
        assert "&lt;b&gt;bold&lt;/b&gt;" in shown
        work.go.set()
        await build
        shown = build._repr_html_()
        assert "app:&lt;1&gt;" in shown
        assert "sha256:1" in shown
        assert "<make>" not in shown


def test_progress_is_text_where_standard_error_takes_no_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a notebook."""
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    out = standard_error()
    for part in (b"caf\xc3", b"\xa9 \xff"):
        out.write(part)
        out.flush()
    assert shown.getvalue() == "café \N{REPLACEMENT CHARACTER}"
    assert not out.isatty()


async def test_a_failure_that_nobody_has_seen_is_not_settled() -> None:
    async with asyncio.TaskGroup() as group:
        failing, working = Work(CrozeError("no such thing")), Work()
        failed = Build(group, failing, QuietDisplay())
        worked = Build(group, working, QuietDisplay())
        assert not worked.settled
        for work in (failing, working):
            work.go.set()
        await worked
        while failed.status == "running":
            await asyncio.sleep(0)
        assert worked.settled
        assert not failed.settled
        with pytest.raises(CrozeError, match="no such thing"):
            await failed
        assert failed.settled
