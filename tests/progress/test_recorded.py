"""What buildx recorded, read and drawn as BuildKit draws it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.progress import rawjson, recorded
from croze.progress.plain import PlainDisplay
from croze.progress.terminal.tty import TtyDisplay

DATA = Path(__file__).parent / "data"
BUILDS = sorted(path.stem for path in DATA.glob("*.jsonl"))
DESC = 'building with "bk" instance using remote driver'


def lines(build: str) -> list[bytes]:
    return (DATA / f"{build}.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("build", BUILDS)
def test_plain_text_is_as_buildkit_writes_it(build: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_DISPLAY_RATE", "100000")
    out = io.BytesIO()
    display = PlainDisplay(out, DESC)
    for status in recorded.read(lines(build)):
        display.update(status)
    display.close()
    assert in_order(out.getvalue()) == in_order((DATA / f"{build}.txt").read_bytes())


def in_order(text: bytes) -> list[bytes]:
    """Steps that ended in the same instant come in any order in Go: cached ones are put by name."""
    blocks = re.sub(rb"(?m)^#\d+ ", b"# ", text).split(b"\n\n")
    cached = iter(sorted(block for block in blocks if block.endswith(b"# CACHED")))
    return [next(cached) if block.endswith(b"# CACHED") else block for block in blocks]


@pytest.mark.parametrize("build", BUILDS)
def test_what_is_read_is_written_again_the_same(build: str) -> None:
    for line in lines(build):
        assert rawjson.encode(recorded.decode(line)).encode() == line


@pytest.mark.parametrize("build", BUILDS)
def test_the_interactive_display_takes_it(build: str) -> None:
    out = io.BytesIO()
    display = TtyDisplay(out)
    for status in recorded.read(lines(build)):
        display.update(status)
    display.close()
    assert b"load build definition from Dockerfile" in out.getvalue()


def test_other_lines_are_passed_over_and_bad_ones_are_named() -> None:
    good = b'{"vertexes":[{"digest":"sha256:1","name":"x"}]}'
    (found,) = recorded.read([b"WARNING: no output", good, b""])
    assert found.vertexes[0].name == "x"
    with pytest.raises(InvalidRequest, match=r"^build\.jsonl:2: no status of a build: .+"):
        list(recorded.read([good, b'{"vertexes":7}'], "build.jsonl"))
    with pytest.raises(InvalidRequest, match=r"^line 1: no status"):
        list(recorded.read([b'{"statuses":[{"id":"a","timestamp":"yesterday"}]}']))
