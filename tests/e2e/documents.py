"""Commands in documents: read from their console blocks, and run as they are written.

In a block, `$` and `#` are prompts (user and root; here it is always root), and what follows a
command is its standard output, with `…` for anything, and one space for any number of them. What
begins with `[+] Building` is a progress display, which depends on the terminal and is not compared;
neither is `...`, which stands for one. A block below a comment `<!-- not run: reason -->` is left
alone.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PROMPTS = ("$ ", "# ")
_NOT_RUN = re.compile(r"<!-- not run: \S.* -->")
_MARK = "=== command"
TIMEOUT_S = 110


@dataclass(frozen=True)
class Command:
    """A command, and what the document says it prints."""

    text: str
    expected: tuple[str, ...]
    line: int

    def compared(self) -> bool:
        return bool(self.expected) and not self.expected[0].startswith(("[+]", "..."))


def commands(document: Path) -> list[Command]:
    """All of a document, in their order."""
    found: list[Command] = []
    for start, lines in _blocks(document.read_text(encoding="utf-8").splitlines()):
        found += _read(lines, start)
    return found


def _blocks(lines: Sequence[str]) -> Iterator[tuple[int, Sequence[str]]]:
    """The console blocks that are run, with the number of their first line."""
    at = 0
    while at < len(lines):
        if lines[at] == "```console":
            end = lines.index("```", at + 1)
            above = next((line for line in reversed(lines[:at]) if line), "")
            if not _NOT_RUN.fullmatch(above):
                yield at + 2, lines[at + 1 : end]
            at = end
        at += 1


def _read(lines: Sequence[str], start: int) -> Iterator[Command]:
    at = 0
    assert lines[0].startswith(_PROMPTS), f"line {start}: a console block begins with $ or #"
    while at < len(lines):
        first, text = at, lines[at][2:]
        while text.endswith("\\"):
            at += 1
            text = f"{text}\n{lines[at]}"
        at += 1
        said = []
        while at < len(lines) and not lines[at].startswith(_PROMPTS):
            said.append(lines[at])
            at += 1
        while said and not said[-1]:
            said.pop()
        yield Command(text, tuple(said), start + first)


@dataclass(frozen=True)
class Ran:
    """What became of a command."""

    code: int
    stdout: str


def run(
    wanted: Sequence[Command], env: Mapping[str, str], cwd: Path, *, prepare: str
) -> tuple[list[Ran], str]:
    """Run them in one shell, as root with all defaults, where nothing of this machine is changed:
    in namespaces of its own, with empty places for what daemons keep. Also returns standard error.
    """
    script = [_HIDE, prepare, "set +e"]
    for command in wanted:
        script += [f"echo '{_MARK}'", command.text, 'printf "\\n%s\\n" "$?"']
    namespaces = ["unshare", "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        [*namespaces, "bash", "-euc", "\n".join(script)],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    found = []
    for part in done.stdout.split(f"{_MARK}\n")[1:]:
        said, _, code = part.rstrip("\n").rpartition("\n")
        found.append(Ran(int(code), said.rstrip("\n")))
    return found, done.stderr


_HIDE = """
for place in /run /var/lib/buildkit /var/lib/croze; do
  mkdir -p "$place" && mount -t tmpfs -o mode=755 none "$place"
done
mkdir /run/etc /run/etc.work
mount -t overlay none -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/etc.work /etc
ip link set lo up
"""


def difference(command: Command, ran: Ran) -> str:
    """What is not as the document says; empty if all is."""
    if ran.code != 0:
        return f"line {command.line}: {command.text}: exit {ran.code}\n{ran.stdout}"
    if not command.compared():
        return ""
    expected = "\n".join(line.rstrip() for line in command.expected)
    pattern = ".*?".join(map(re.escape, re.sub(" +", " ", expected).split("…")))
    stdout = "\n".join(re.sub(" +", " ", line).rstrip() for line in ran.stdout.splitlines())
    if re.fullmatch(pattern, stdout, re.DOTALL):
        return ""
    return f"line {command.line}: {command.text}: prints\n{stdout}\n--- and not\n{expected}"
