"""How the warm process knows that its installation is as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from croze.cli.warm import process as warm


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What takes the place of all the code that is loaded."""
    path = tmp_path / "top/package/module.py"
    path.parent.mkdir(parents=True)
    path.write_text("one = 1\n")

    def loaded() -> list[tuple[str, warm.FileMark]]:
        return [(str(path), warm.mark(str(path)))]

    monkeypatch.setattr(warm, "loaded_code", loaded)
    return path


def test_a_change_is_seen_and_nothing_is_looked_at_without_one(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = warm.Installed()
    looked: list[object] = []
    unchanged = warm.unchanged

    def counted(marks: list[tuple[str, warm.FileMark]]) -> bool:
        looked.append(marks)
        return unchanged(marks)

    monkeypatch.setattr(warm, "unchanged", counted)
    for _ in range(3):
        assert installed.is_current()
    assert not looked, "a caller waits for this"
    (code.parent / "other").touch()
    assert installed.is_current()
    assert len(looked) == 1
    with open(code, "r+") as file:
        file.write("two")
    os.utime(code, ns=(1, 1))
    assert not installed.is_current()
    assert not installed.is_the_same()


def test_without_the_kernels_word_each_file_is_looked_at(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(_: object) -> None:
        raise OSError("too many open files")

    monkeypatch.setattr(warm, "DirWatch", none_left)
    installed = warm.Installed()
    assert installed.is_current()
    os.utime(code, ns=(1, 1))
    assert not installed.is_current()


def test_an_installation_in_whose_place_another_one_is(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has stirred in what was watched."""
    package = code.parent
    monkeypatch.setattr(warm, "__file__", str(package / "cli/warm/process.py"))
    installed = warm.Installed()
    assert installed.is_current()
    top = package.parent
    top.rename(top.with_name("old"))
    package.mkdir(parents=True)
    code.write_text("two = 2\n")
    os.utime(code, ns=(1, 1))
    assert not installed.is_current()


def test_a_file_in_whose_place_another_one_of_the_same_time_and_size_is(code: Path) -> None:
    """Archives that are made alike give all versions the same time."""
    installed = warm.Installed()
    status = code.stat()
    other = code.with_name("other")
    other.write_text("two = 2\n")
    other.replace(code)
    os.utime(code, ns=(status.st_atime_ns, status.st_mtime_ns))
    while code.stat().st_ctime_ns == status.st_ctime_ns:  # its clock goes in steps
        os.utime(code, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not installed.is_current()
    assert not installed.is_the_same()
