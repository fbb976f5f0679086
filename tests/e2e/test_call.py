"""`--check` and `--call`: the same text and exit codes as Debian's unmodified buildx prints."""

from __future__ import annotations

import json

import pytest

from tests.e2e.sandbox import Sandbox

CLEAN = "FROM scratch\nCOPY a /\n"
WARNS = "from scratch as A\nMAINTAINER me\nARG X=1\nCOPY a /\nCMD echo hi\n"
BAD = "FROM scratch\nMAINTAINER me\nFOO bar\n"
TAKES = """\
# base
FROM scratch AS base
# the arg
ARG A=1
# last
FROM base
RUN --mount=type=secret,id=k,required --mount=type=ssh echo $A
"""
CASES = [
    (CLEAN, "--check", 0),
    (WARNS, "--check", 1),
    (WARNS, "--call=check,ignorestatus=true", 0),
    (BAD, "--check", 1),
    (BAD, "--call=lint,format=json", 1),
    (WARNS, "--call=check,format=json", 1),
    (WARNS, "--call=check,format=json,ignorestatus=true", 0),
    (TAKES, "--call=outline", 0),
    (TAKES, "--call=outline,format=json", 0),
    (WARNS, "--call=outline", 0),
    (TAKES, "--call=targets", 0),
    (TAKES, "--call=targets,format=json", 0),
    (TAKES, "--call=subrequests.describe", 0),
    (CLEAN, "--call=check,foo=1", 1),
    (CLEAN, "--call=a,b", 1),
    (CLEAN, '--call=check,format="json', 1),
    (TAKES, "--check --call=outline", 0),
    (TAKES, "--call=outline --check", 0),
    (TAKES, "--print=outline", 0),
]


def without_definitions(text: str) -> object:
    """The answer but for what differs from session to session."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    for source in value.get("sources") or []:
        if isinstance(source, dict):
            source.pop("definition", None)
    return value


def own_lines(text: str) -> list[str]:
    """Standard error without the progress, sorted: buildx lists warnings in random order, and now
    and then says of its own session that it ended while it began."""
    text = text.replace("failed to build: ", "").replace("\x1b[0m", "")
    text = text.replace("use docker --debug", "use croze --debug")
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return sorted(line for line in lines if "http2: server" not in line)


@pytest.mark.parametrize(("dockerfile", "flags", "code"), CASES)
def test_calls_print_and_exit_as_buildx_does(
    desk: Sandbox, dockerfile: str, flags: str, code: int
) -> None:
    path = desk.context("call", {"Dockerfile": dockerfile, "a": "x"})
    theirs = desk.buildx("sid", "build", *flags.split(), path, check=False)
    ours = desk.croze("build", *flags.split(), path, check=False)
    assert (ours.code, theirs.code) == (code, code)
    assert without_definitions(ours.stdout) == without_definitions(theirs.stdout)
    assert own_lines(ours.stderr) == own_lines(theirs.stderr)


def test_findings_name_the_file_as_given(desk: Sandbox) -> None:
    path = desk.context("elsewhere", {"other/Dockerfile.x": "FROM scratch\nMAINTAINER me\n"})
    for words in (("-f", path / "other/Dockerfile.x", path), ("-f", "-", path)):
        stdin = b"FROM scratch\nMAINTAINER me\n"
        theirs = desk.buildx("sid", "build", "--check", *words, check=False, stdin=stdin)
        ours = desk.croze("build", "--check", *words, check=False, stdin=stdin)
        assert (ours.code, ours.stdout) == (theirs.code, theirs.stdout)
    assert "stdin:2" in ours.stdout
