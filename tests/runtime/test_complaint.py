"""What runtimes say of processes that they can't start, in the forms that they have for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.runtime.complaint import Complaint, last_error
from croze.runtime.contract import Stdio

WARNING = {"msg": "cgroups in hybrid mode not supported", "level": "warning", "time": "x"}
ERROR = {"msg": "executable file `x` not found in $PATH", "level": "error", "time": "x"}
REFUSED = {"msg": "exec container process `/foreign`: Exec format error", "level": "error"}


@pytest.mark.parametrize("indent", [None, 2], ids=["a line each", "several lines each"])
def test_the_last_error_of_a_log(indent: int | None, tmp_path: Path) -> None:
    log = tmp_path / "log"
    entries = [json.dumps(entry, indent=indent) for entry in (WARNING, ERROR, WARNING)]
    log.write_text("\n".join(entries))
    assert last_error(log) == ERROR["msg"]
    log.write_text(json.dumps({**ERROR, "msg": "no such file: \ud800"}))
    assert last_error(log) == "no such file: ?"
    log.write_text(f"no JSON {{\n[1]\n{entries[1]}\n{entries[0][:-20]}")
    assert last_error(log) == ERROR["msg"], "what is broken around it is passed over"


def test_a_log_that_says_nothing(tmp_path: Path) -> None:
    assert last_error(tmp_path / "none") == "the container did not start"
    (tmp_path / "log").write_text(json.dumps(WARNING))
    assert last_error(tmp_path / "log") == "the container did not start"


@pytest.mark.parametrize("at", [0, 60, -2])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        (json.dumps(REFUSED, separators=(",", ":")), "exec /foreign: exec format error"),
        (json.dumps(REFUSED, indent=2) + "\n", "exec /foreign: exec format error"),
        (
            '{"msg":"exec container process `/\\ud800`: Exec format error"}',
            "exec /?: exec format error",
        ),
        ("exec /foreign: exec format error\n", "exec /foreign: exec format error"),
        ("anything else\n", ""),
        ('{"msg":"of the step itself"}', ""),
    ],
)
def test_what_is_said_in_the_place_of_a_process(said: str, told: str, at: int) -> None:
    """Also in two pieces, as newer cruns write it."""
    heard, complaint = bytearray(), Complaint()
    stdio = complaint.overhear(Stdio(stdout=heard.extend, stderr=heard.extend))
    pieces = (said[:at], said[at:]) if said.startswith("{") else (said,)
    for piece in filter(None, pieces):
        stdio.stderr(piece.encode())
    complaint.end()
    assert complaint.text == told
    assert heard.decode() == (f"{told}\n" if told else said)


def test_what_only_begins_like_a_complaint() -> None:
    heard, complaint = bytearray(), Complaint()
    stdio = complaint.overhear(Stdio(stdout=heard.extend, stderr=heard.extend))
    stdio.stderr(b'{"msg":"exec container process ')
    assert heard == b"", "it may go on"
    complaint.end()
    assert heard == b'{"msg":"exec container process '
