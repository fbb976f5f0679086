"""Command lines and surroundings that nobody means: they end as asked, or with one message."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.sandbox import CROZE, Done, Sandbox, execute

FULL = "/dev/full"


def shell(desk: Sandbox, line: str, **env: str) -> Done:
    """A shell's line in which `$C` is croze."""
    buffered = {k: v for k, v in desk.env.items() if k != "PYTHONUNBUFFERED"}
    return execute(["sh", "-c", line], {**buffered, "C": str(CROZE), **env}, check=False)


@pytest.fixture(scope="module")
def context(desk: Sandbox) -> Path:
    return desk.context("odd", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"})


@pytest.mark.parametrize("warm", ["0", "1"])
@pytest.mark.parametrize(
    "words",
    ["version", "--help", "build --help", "du", "__complete b", "docker-cli-plugin-metadata"],
)
def test_what_can_not_be_printed_is_an_error(desk: Sandbox, words: str, warm: str) -> None:
    done = shell(desk, f'"$C" {words} >{FULL}', CROZE_NO_WARM=warm)
    assert (done.code, done.stderr) == (1, "ERROR: no space left on device\n")


@pytest.mark.parametrize("mode", ["plain", "rawjson"])
def test_a_build_goes_on_when_its_progress_can_not_be_shown(
    desk: Sandbox, context: Path, tmp_path: Path, mode: str
) -> None:
    out = tmp_path / "out"
    done = shell(desk, f'"$C" build --progress={mode} -o {out} {context} 2>{FULL}')
    assert done.code == 0, desk.log_text()[-4000:]
    assert (out / "f").is_file()


def test_files_of_a_build_that_are_none(desk: Sandbox, context: Path, tmp_path: Path) -> None:
    """`--iidfile` made room for itself, be it in `/dev`."""
    node = tmp_path / "full"
    os.mknod(node, 0o20666, os.makedev(1, 7))
    for flag in ("--iidfile", "--metadata-file"):
        done = desk.croze("build", flag, node, context, check=False)
        assert done.code == 1
        assert "no space left on device" in done.stderr
        assert node.is_char_device()
    done = shell(desk, f'"$C" build --iidfile /dev/stdout {context} 2>/dev/null | cat')
    assert done.stdout.startswith("sha256:")
    link = tmp_path / "link"
    link.symlink_to("there.json")
    desk.croze("build", "--metadata-file", link, context)
    assert json.loads((tmp_path / "there.json").read_text())
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["build", "--builder", b"\xff", "."], r'not valid UTF-8: "\xff"'),
        (["build", "-o", b"type=\xff,dest=x", "."], r'not valid UTF-8: "\xff"'),
        (["build", "--cache-to", b"type=\xff", "."], r'not valid UTF-8: "\xff"'),
        (["--builder", "tcp://[::1", "du"], """parse "tcp://[::1": missing ']' in host"""),
        (["inspect", "tcp://[::1"], """parse "tcp://[::1": missing ']' in host"""),
        (["inspect", "tcp://h:x"], 'parse "tcp://h:x": invalid port ":x" after host'),
        (["create", "tcp://h:x"], "failed to parse endpoint tcp://h:x: invalid bind address"),
        (["create", ".."], "lookup ..: no such host"),
        (["why", "--files", "9" * 30], "invalid number of files: 9999"),
    ],
)
def test_words_that_can_not_be(desk: Sandbox, words: Sequence[str | bytes], said: str) -> None:
    done = subprocess.run([CROZE, *words], env=desk.env, capture_output=True, check=False)
    assert done.returncode == 1
    error = done.stderr.decode()
    assert error.startswith("ERROR: ")
    assert said in error
    assert "Traceback" not in error


def test_a_builder_that_is_kept_elsewhere(desk: Sandbox, tmp_path: Path) -> None:
    """By a link, as settings under version control are."""
    env = {**desk.env, "BUILDX_CONFIG": str(tmp_path / "buildx")}
    execute([CROZE, "create", "--name", "linked", "--driver=remote", desk.address], env)
    file, elsewhere = tmp_path / "buildx/instances/linked", tmp_path / "kept"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    more = ["--append", "--name", "linked", "--node", "second", "unix:///nowhere"]
    execute([CROZE, "create", *more], env)
    assert file.is_symlink()
    assert [node["Name"] for node in json.loads(elsewhere.read_text())["Nodes"]] == [
        "linked0",
        "second",
    ]
