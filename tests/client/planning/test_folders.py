"""Folders that aren't there are told of in buildx's words."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.client.planning.folders import check_folder
from croze.client.planning.make import make_plan
from croze.client.planning.options import BuildOptions
from croze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("none", "resolve : lstat none: no such file or directory"),
        ("here/none/x", "resolve : lstat here/none: no such file or directory"),
        ("dangling", "resolve : lstat gone: no such file or directory"),
        ("round", "resolve : EvalSymlinks: too many links"),
        ("file", "stat file: not a directory"),
        ("file/x", "resolve : not a directory"),
    ],
)
def test_what_is_no_folder(
    folder: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here").mkdir()
    Path("file").touch()
    Path("dangling").symlink_to("gone/x")
    Path("round").symlink_to("round")
    with pytest.raises(InvalidRequest) as caught:
        make_plan(BuildOptions(context=".", dockerfile=f"{folder}/Dockerfile"))
    assert str(caught.value) == why


def test_what_is_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    check_folder(str(tmp_path / "link"))
