"""Records on disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from croze.why import history as past_builds
from croze.why.history import PastBuilds
from croze.why.record import RecordedBuild
from tests.support.work import calls_of, counted_steps
from tests.why.recorded import build, context, step


def made(ref: str, scope: str = "s", files: str = "") -> RecordedBuild:
    found = build(step("[1/1] COPY a /", None, context("c", files)), ref=ref)
    return RecordedBuild(ref, scope, "Dockerfile", "", 1, steps=found.steps)


def test_newest_first_and_only_so_many(tmp_path: Path) -> None:
    history = PastBuilds(tmp_path, keep_builds=3)
    for number in range(6):
        history.add(made(f"ref{number}"))
        history.add(made(f"other{number}", scope="other"))
    assert [b.ref for b in history.earlier("s")] == ["ref5", "ref4", "ref3"]
    assert [b.ref for b in history.earlier("s", before="ref4")] == ["ref3"]
    latest = history.latest()
    assert latest is not None
    assert latest.ref == "other5"
    found = history.find("ref4")
    assert found is not None
    assert found.ref == "ref4"
    assert [step.name for step in found.steps] == [step.name for step in made("").steps]
    assert history.find("ref1") is None
    assert history.find("ref") is not None, "a beginning will do"
    history.close()


def test_lists_live_as_long_as_a_record_names_them(tmp_path: Path) -> None:
    history = PastBuilds(tmp_path, keep_builds=1)
    for name in ("one", "two", "held", "stray"):
        history.lists.path(name).write_bytes(b"list")
    with history.holding() as held:
        held.add("held")
        history.add(made("first", files="one"))
        assert {p.name for p in (tmp_path / "why").iterdir()} == {"one", "held"}
        history.lists.path("two").write_bytes(b"list")
        history.add(made("second", files="two"))
        assert {p.name for p in (tmp_path / "why").iterdir()} == {"two", "held"}
    history.lists.trim({"two", "held"}, limit_bytes=5)
    assert len(list((tmp_path / "why").iterdir())) == 1
    history.close()


def test_what_is_written_is_there_after_a_crash(tmp_path: Path) -> None:
    history = PastBuilds(tmp_path)
    history.add(made("ref"))
    again = PastBuilds(tmp_path)  # the first one was never closed
    latest = again.latest()
    assert latest is not None
    assert latest.ref == "ref"
    again.close()
    history.close()


def test_damage_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "why.db").write_bytes(b"not a database at all" * 100)
    history = PastBuilds(tmp_path)
    history.add(made("ref"))
    assert history.latest() is not None
    history.close()
    assert (tmp_path / "why.db").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(tmp_path / "why.db") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    db.close()


def test_lists_of_builds_that_are_not_recorded_go(tmp_path: Path) -> None:
    history = PastBuilds(tmp_path)
    for name in ("one", "two", "three"):
        history.lists.path(name).write_bytes(b"list")
    with history.holding() as held:
        held |= {"one", "two", "three"}
        history.add(made("first", files="one"))
        with history.holding() as other:
            other.add("two")
        assert len(list((tmp_path / "why").iterdir())) == 3, "another build has it"
    assert {p.name for p in (tmp_path / "why").iterdir()} == {"one"}
    history.close()


def test_a_build_costs_the_same_however_many_are_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In steps of the database and in calls, with a list of files that goes for each that comes."""

    def cost(count: int) -> tuple[int, int]:
        monkeypatch.setattr(past_builds, "KEEP_ALL", count)
        root = tmp_path / str(count)
        root.mkdir()

        def add(number: int) -> None:
            history.lists.path(f"list{number}").write_bytes(b"list")
            history.lost([f"result{number}"], number)
            history.add(made(f"ref{number}", f"scope{number}", f"list{number}"))

        with counted_steps() as steps:
            history = PastBuilds(root)
            for number in range(count + 1):
                add(number)
            own_steps = steps.of(lambda: add(count + 1))
            calls = calls_of(lambda: add(count + 2)) - steps.of(lambda: add(count + 3))
        assert len(list((root / "why").iterdir())) == count
        history.close()
        return own_steps, calls

    for few, many in zip(cost(20), cost(400), strict=True):
        assert many < few * 1.3
