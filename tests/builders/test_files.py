"""The files that are shared with buildx: written as it writes them, read as it reads them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from croze.builders.files import BuilderFiles
from croze.builders.model import BuilderInstance, BuilderNode, parse_platforms
from croze.errors import InvalidRequest

ONE = BuilderInstance(
    "One",
    "remote",
    (
        BuilderNode(
            name="one0",
            endpoint="tcp://h:1234",
            platforms=parse_platforms(("linux/arm64,linux/arm/v7",)),
            driver_opts={"servername": "<h>"},
            flags=("--debug",),
            files={"buildkitd.toml": b"debug = true\n"},
        ),
    ),
)
BY_BUILDX = (
    b'{"Name":"One","Driver":"remote","Nodes":[{"Name":"one0","Endpoint":"tcp://h:1234",'
    b'"Platforms":[{"architecture":"arm64","os":"linux"},{"architecture":"arm","os":"linux",'
    b'"variant":"v7"}],"DriverOpts":{"servername":"\\u003ch\\u003e"},"Flags":["--debug"],'
    b'"Files":{"buildkitd.toml":"ZGVidWcgPSB0cnVlCg=="}}],"Dynamic":false}'
)


def test_a_builder_is_written_as_buildx_writes_it(tmp_path: Path) -> None:
    with BuilderFiles(tmp_path / "new" / "buildx").transaction() as stored:
        stored.save(ONE)
    path = tmp_path / "new/buildx/instances/one"
    assert path.read_bytes() == BY_BUILDX
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    files = BuilderFiles(tmp_path)
    with files.transaction() as stored:
        assert stored.builder("one") is None
        stored.save(ONE)
        assert stored.builder("ONE") == ONE
        assert stored.builders() == [ONE]
        assert stored.last_activity("one") is not None
        stored.remove("one")
        assert stored.builders() == []
        assert stored.last_activity("one") is None


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"Name":"x",\n"Driver":1}', 2, "Expected `str`, got `int`"),
        ('{"Name":"x","Driver":"remote",\n\n"Nope":1}', 3, "unknown field `Nope`"),
        ('{"Name":"x"}', 1, "missing required field `Driver`"),
        ('{"Name":\n\n', 3, "truncated"),
    ],
)
def test_what_is_not_understood_is_refused_by_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    with BuilderFiles(tmp_path).transaction() as stored:
        path = tmp_path / "instances" / "x"
        path.write_text(text)
        with pytest.raises(InvalidRequest, match=said) as caught:
            stored.builder("x")
    assert f"{path}: line {line}: " in str(caught.value)


@pytest.mark.parametrize("name", ["", "1x", "a/b", "../a", "a b", "-a", "a\n"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with (
        BuilderFiles(tmp_path).transaction() as stored,
        pytest.raises(InvalidRequest, match="invalid name"),
    ):
        stored.builder(name)


def test_the_choice_is_kept_for_its_endpoint(tmp_path: Path) -> None:
    with BuilderFiles(tmp_path).transaction() as stored:
        stored.save(ONE)
        stored.set_current("unix:///a", "one", anywhere=False, default=False)
        assert stored.current("unix:///a") == ONE
        assert stored.current("unix:///b") is None
        # As with buildx, work at another endpoint lets the choice go.
        assert stored.current("unix:///a") is None


def test_a_global_choice_holds_everywhere_until_its_builder_is_gone(tmp_path: Path) -> None:
    with BuilderFiles(tmp_path).transaction() as stored:
        stored.save(ONE)
        stored.set_current("unix:///a", "one", anywhere=True, default=False)
        assert stored.current("unix:///b") == ONE
        stored.remove("one")
        assert stored.current("unix:///b") is None


def test_a_default_comes_back(tmp_path: Path) -> None:
    with BuilderFiles(tmp_path).transaction() as stored:
        stored.save(ONE)
        stored.set_current("unix:///a", "one", anywhere=False, default=True)
        assert stored.current("unix:///b") is None
        assert stored.current("unix:///a") == ONE
    current = json.loads((tmp_path / "current").read_text())
    assert current == {"Key": "unix:///a", "Name": "one", "Global": False}
    assert len(os.listdir(tmp_path / "defaults")[0]) == 20


def test_builds_go_with_their_builder_or_node(tmp_path: Path) -> None:
    with BuilderFiles(tmp_path).transaction() as stored:
        stored.save(ONE)
        for node in ("one0", "one1"):
            folder = tmp_path / "refs/one" / node
            folder.mkdir(parents=True)
            (folder / "id").write_text("{}")
        stored.forget_builds("one", "one0")
        assert os.listdir(tmp_path / "refs/one") == ["one1"]
        stored.remove("one")
        assert os.listdir(tmp_path / "refs") == []


def test_a_link_in_place_of_builds_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("")
    files = BuilderFiles(tmp_path / "buildx")
    with files.transaction() as stored:
        stored.save(ONE)
        (tmp_path / "buildx/refs/one").mkdir(parents=True)
        (tmp_path / "buildx/refs/one/one0").symlink_to(elsewhere)
        stored.remove("one")
    assert (elsewhere / "kept").exists()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (tmp_path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="symbolic link"), BuilderFiles(tmp_path).transaction():
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_builder_that_cannot_be_read_is_no_others_trouble(tmp_path: Path) -> None:
    """`rm` tells of it, and goes on with the next."""
    with BuilderFiles(tmp_path).transaction() as stored:
        (tmp_path / "instances/folder").mkdir()
        os.mkfifo(tmp_path / "instances/fifo")
        (tmp_path / "instances/loop").symlink_to("loop")
        for name, why in (
            ("folder", "is a directory"),
            ("fifo", "not a regular file"),
            ("loop", "too many levels of symbolic links"),
        ):
            with pytest.raises(InvalidRequest) as caught:
                stored.builder(name)
            assert str(caught.value) == f"{tmp_path}/instances/{name}: {why}"
