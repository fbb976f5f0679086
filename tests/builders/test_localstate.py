"""What a build is called: recorded answers of buildx's own naming."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.builders.files import BuilderFiles
from croze.builders.localstate import (
    LocalState,
    build_name,
    read,
    read_group,
    save,
    save_group,
)
from croze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("attrs", "state", "name"),
    [
        ({}, None, ""),
        ({"target": "t"}, None, "t"),
        ({"build-arg:BUILDKIT_BUILD_NAME": "n", "target": "t"}, None, "n"),
        ({}, LocalState(local_path="/w/app"), "app"),
        ({"target": "t"}, LocalState(local_path="/w/app"), "app (t)"),
        ({}, LocalState(local_path="/w/app", dockerfile_path="/w/app/Dockerfile"), "app"),
        ({}, LocalState(local_path="/w/app", dockerfile_path="/w/app/s/Dockerfile"), "app/s"),
        (
            {},
            LocalState(local_path="/w/app", dockerfile_path="/w/app/x.Dockerfile"),
            "app/x.Dockerfile",
        ),
        ({}, LocalState(local_path="/w/app", dockerfile_path="/o/x.Dockerfile"), "o/x.Dockerfile"),
        ({"filename": "x.Dockerfile"}, None, "x.Dockerfile"),
        ({"context": "https://h/r.git"}, None, "https://h/r.git"),
        ({"vcs:localdir:context": "sub"}, None, "sub"),
        ({"vcs:source": "https://h/r.git"}, None, "https://h/r.git"),
        ({"input:context": "https://h/r.git?ref=x&subdir=y"}, None, "https://h/r.git#x"),
        ({"input:context": "https://h/r.git?ref="}, None, "https://h/r.git?ref="),
    ],
)
def test_builds_are_called_as_buildx_calls_them(
    attrs: dict[str, str], state: LocalState | None, name: str
) -> None:
    assert build_name(attrs, state) == name


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    state = LocalState("t", "/w", "/w/Dockerfile", "g")
    save(BuilderFiles(tmp_path), "b", "n", "r", state)
    assert read(tmp_path, "b", "n", "r") == state
    assert read(tmp_path, "b", "n", "other") is None
    assert read(tmp_path, "..", "n", "r") is None
    (tmp_path / "refs/b/n/r").write_text("[")
    assert read(tmp_path, "b", "n", "r") is None


def test_a_group_goes_with_its_builds(tmp_path: Path) -> None:
    files = BuilderFiles(tmp_path)
    save_group(files, "g1", ["all"], ["r1"])
    save_group(files, "g2", ["all"], ["r2"])
    assert read_group(tmp_path, "g1").refs == ("r1",)
    with files.transaction() as stored:
        save(files, "b", "b0", "r1", LocalState("t", "/w", "", "g1"))
        save(files, "b", "b0", "r2", LocalState("t", "/w", "", "../g2"))
        (tmp_path / "refs/b/b0/r3").write_text("{")
        stored.forget_builds("b")
    assert sorted(path.name for path in (tmp_path / "refs/__group__").iterdir()) == ["g2"]
    assert not (tmp_path / "refs/b").exists()


def test_groups_of_an_older_version_are_written_anew_once(tmp_path: Path) -> None:
    files = BuilderFiles(tmp_path)
    groups = tmp_path / "refs/__group__"
    groups.mkdir(parents=True)
    older = '{"Definition":"e30=","Targets":["all"],"Inputs":["BASE=x"],"Refs":["b/b0/r1"]}'
    (groups / "old").write_text(older)
    (groups / "broken").write_text("{")
    save_group(files, "new", [], ["r2"])
    assert (tmp_path / "refs/version").read_text() == "2"
    assert (groups / "old").read_text() == '{"Targets":["all"],"Refs":["b/b0/r1"]}'
    assert (groups / "new").read_text() == '{"Refs":["r2"]}'
    assert (groups / "broken").read_text() == "{"
    (groups / "old").write_text(older)
    save_group(files, "other", ["t"], [])
    assert (groups / "old").read_text() == older


@pytest.mark.parametrize("ref", ["../../owned", "/owned", "..", "", "a\0b"])
def test_what_is_imported_is_written_nowhere_else(tmp_path: Path, ref: str) -> None:
    files = BuilderFiles(tmp_path / "buildx")
    with pytest.raises(InvalidRequest, match="invalid reference"):
        save(files, "b", "n", ref, LocalState(local_path="x"))
    with pytest.raises(InvalidRequest, match="invalid reference"):
        save_group(files, ref, [], [])
    with pytest.raises(InvalidRequest, match="invalid reference"):
        read_group(tmp_path / "buildx", ref)
    assert not [*tmp_path.rglob("*")]
