"""What a build is called: recorded answers of buildx's own naming."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.builders.files import BuilderFiles
from croze.builders.localstate import LocalState, build_name, read, save


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
    ],
)
def test_names(attrs: dict[str, str], state: LocalState | None, name: str) -> None:
    assert build_name(attrs, state) == name


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    state = LocalState("t", "/w", "/w/Dockerfile", "g")
    save(BuilderFiles(tmp_path), "b", "n", "r", state)
    assert read(tmp_path, "b", "n", "r") == state
    assert read(tmp_path, "b", "n", "other") is None
    assert read(tmp_path, "..", "n", "r") is None
    (tmp_path / "refs/b/n/r").write_text("[")
    assert read(tmp_path, "b", "n", "r") is None
