"""A folder with `cmd.json` and `want.json`: a Bake project, a command line, and what buildx said.

`data/bake/README.md` explains the format. The command runs in this process, in a copy of the
project, with its own environment and standard streams.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from croze.cli.main import run
from croze.fs.temporary import temporary_directory
from tests.golden.case import Case
from tests.golden.difference import differences

COMMAND = "cmd.json"
_STREAMS = ("stdin", "stdout", "stderr")


@dataclass(frozen=True)
class Answer:
    exit: int
    stdout: str
    stderr: str
    written: list[str]


def cases(folder: Path) -> Iterator[Case]:
    if (folder / COMMAND).is_file() and (folder / "want.json").is_file():
        yield Case("bake", folder.name, partial(_check, folder))


def _check(folder: Path) -> list[str]:
    command = json.loads((folder / COMMAND).read_bytes())
    want = json.loads((folder / "want.json").read_bytes())
    with temporary_directory("golden") as root:
        answer = _run(folder, command, Path(root))
        found = [
            _other_order(answer.stdout, each)
            or differences(_sorted(each, each), _sorted(_recorded(answer, Path(root)), each))
            for each in want.get("alternatives", [want])
        ]
    return min(found, key=len)


def _other_order(stdout: str, want: Mapping[str, Any]) -> list[str]:
    """JSON on standard output has its members in the original's order, too."""
    if "stdout_json" not in want or "unordered" in want:
        return []
    try:
        found, wanted = json.loads(stdout), want["stdout_json"]
    except ValueError:
        return []
    same = found == wanted and json.dumps(found) != json.dumps(wanted)
    return ["the members on standard output stand in another order"] if same else []


def _run(folder: Path, command: Mapping[str, Any], root: Path) -> Answer:
    project, streams = root / "project", root / "streams"
    project.mkdir()
    streams.mkdir()
    for name in command["files"]:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, project / name)
    stdin = (folder / command["stdin"]).read_bytes() if "stdin" in command else b""
    (streams / "stdin").write_bytes(stdin)
    before = set(project.rglob("*"))
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(project))
        for path in command.get("sockets", ()):
            listening = stack.enter_context(socket.socket(socket.AF_UNIX))
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            listening.bind(path)
            listening.listen()
            before.add(project / path)
        stack.enter_context(contextlib.chdir(project / command.get("cwd", ".")))
        stack.enter_context(_environment({"HOME": "/home/golden", **command["env"]}))
        stack.enter_context(_arguments(["buildx", "bake", *command["args"]]))
        stack.enter_context(_standard_streams(streams))
        code = run(["bake", *command["args"]])
    written = {path for path in project.rglob("*") if path.is_file()} - before
    return Answer(
        code,
        (streams / "stdout").read_text(),
        (streams / "stderr").read_text(),
        sorted(str(path.relative_to(project)) for path in written),
    )


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _arguments(wanted: list[str]) -> Iterator[None]:
    before, sys.argv = sys.argv, wanted
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _standard_streams(folder: Path) -> Iterator[None]:
    """Files for standard input, output and error: none of them a terminal."""
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(_STREAMS):
            stack.enter_context(_stream(number, name, folder / name))
        yield


@contextlib.contextmanager
def _stream(number: int, name: str, path: Path) -> Iterator[None]:
    outer = getattr(sys, name)
    if number:
        outer.flush()
    saved = os.dup(number)
    mode = "w" if number else "r"
    try:
        with path.open(mode, encoding="utf-8", errors="surrogateescape") as file:
            os.dup2(file.fileno(), number)
            setattr(sys, name, file)
            yield
    finally:
        setattr(sys, name, outer)
        os.dup2(saved, number)
        os.close(saved)


def _recorded(answer: Answer, root: Path) -> dict[str, Any]:
    """The answer as the corpus has answers."""
    got: dict[str, Any] = {"exit": answer.exit}
    try:
        got["stdout_json"] = json.loads(answer.stdout)
    except ValueError:
        got["stdout_text"] = answer.stdout
    project = str((root / "project").resolve())
    lines = answer.stderr.replace(project, "<DIR>").split("\n")
    lines = [line for line in lines if not line.startswith("#")]
    while lines and not lines[-1].strip():
        lines.pop()
    while lines and not lines[0].strip():
        lines.pop(0)
    got["stderr"] = lines
    starts = [at for at, line in enumerate(lines) if line.startswith("ERROR: ")]
    if answer.exit and starts:
        got["error"] = "\n".join(lines[starts[-1] :])
    if answer.written:
        got["written"] = answer.written
    return got


def _sorted(answer: dict[str, Any], want: Mapping[str, Any]) -> dict[str, Any]:
    """Without what does not count: the order of groups' targets where the original has none."""
    sorted_answer = {
        key: value for key, value in answer.items() if key not in ("unordered", "quirk")
    }
    if "group.*.targets" not in want.get("unordered", ()) or "stdout_json" not in sorted_answer:
        return sorted_answer
    groups = {
        name: {**group, "targets": sorted(group["targets"])}
        for name, group in sorted_answer["stdout_json"].get("group", {}).items()
    }
    sorted_answer["stdout_json"] = {**sorted_answer["stdout_json"], "group": groups}
    return sorted_answer
