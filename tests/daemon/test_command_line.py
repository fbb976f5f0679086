"""Command lines of `crozed`, and what buildkitd says of them: the words, where they go, the code.

With `CROZE_BUILDKITD` (or a buildkitd on the PATH) it is asked the same.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from croze.daemon.main import main
from tests.e2e.peers import buildkitd_binary

READ = 'unsupported log type "no"'
"""All flags were read: this is what is wrong with the last of them."""


def misuse(message: str) -> tuple[int, str]:
    return 1, f"Incorrect Usage: {message}\n\nbuildkitd: {message}\n"


def undefined(name: str) -> tuple[int, str]:
    return misuse(f"flag provided but not defined: -{name}")


def not_number(text: str, problem: str = "invalid syntax") -> tuple[int, str]:
    where = 'invalid value "{0}" for flag -oci-cni-pool-size: strconv.ParseInt: parsing "{0}"'
    return misuse(f"{where.format(text)}: {problem}")


GOOD = (1, f"buildkitd: {READ}\n")
ANSWERS: dict[str, tuple[int, str]] = {
    "": GOOD,
    "-debug": GOOD,
    "--debug=false --debug=T -debug=": GOOD,
    "--debug false": GOOD,
    "--debug=maybe": misuse('invalid value "maybe" for flag -debug: parse error'),
    "-debug=yes": misuse('invalid value "yes" for flag -debug: parse error'),
    "--debug=1 --debug=maybe": misuse('invalid value "maybe" for flag -debug: parse error'),
    "--nope": undefined("nope"),
    "--nope=3": undefined("nope"),
    "-Debug": undefined("Debug"),
    "--no-debug": undefined("no-debug"),
    "---debug": undefined("-debug"),
    "--=x": undefined(""),
    "-=x": GOOD,
    "-hv": undefined("hv"),
    "extra words": GOOD,
    "extra --nope": undefined("nope"),
    "-": GOOD,
    "- --nope": GOOD,
    "-- --nope": GOOD,
    "-3 --nope": GOOD,
    "--root": misuse("flag needs an argument: --root"),
    "-root": misuse("flag needs an argument: -root"),
    "--root -x": GOOD,
    "--root=": GOOD,
    "--oci-cni-pool-size=x": not_number("x"),
    "--oci-cni-pool-size=": not_number(""),
    "--oci-cni-pool-size=0x10": GOOD,
    "--oci-cni-pool-size=010": GOOD,
    "--oci-cni-pool-size=1_0": GOOD,
    "--oci-cni-pool-size=08": not_number("08"),
    "--oci-cni-pool-size=1__0": not_number("1__0"),
    "--oci-cni-pool-size -3": GOOD,
    "--oci-cni-pool-size=9223372036854775808": not_number(
        "9223372036854775808", "value out of range"
    ),
    "--oci-worker=T": GOOD,
    "--oci-worker=AUTO": GOOD,
    "--group=nosuchgroup": (1, "buildkitd: group: unknown group nosuchgroup\n"),
    "help": (0, ""),
    "h": (0, ""),
    "--help": (0, ""),
    "-v": (0, ""),
    "-version": (0, ""),
    "--help=false -h=false --version=0": GOOD,
    "help nope": (3, "No help topic for 'nope'\n"),
}


def words(line: str, folder: Path) -> Sequence[str]:
    return [f"--config={folder}/none", f"--root={folder}", "--log-format=no", *line.split()]


@pytest.mark.parametrize("line", ANSWERS)
def test_command_lines_are_answered_as_by_buildkitd(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(words(line, tmp_path))
    said = capsys.readouterr()
    assert (code, said.err.replace("crozed: ", "buildkitd: ")) == ANSWERS[line]
    shows_help = "Incorrect Usage" in said.err or line in ("help", "h", "--help")
    assert said.out.startswith("NAME:\n   crozed - build daemon\n") == shows_help
    if binary := buildkitd_binary():
        check_buildkitd(binary, line, tmp_path, shows_help)


def check_buildkitd(binary: str, line: str, folder: Path, shows_help: bool) -> None:
    """A real one answers so, too."""
    done = subprocess.run([binary, *words(line, folder)], capture_output=True, timeout=30)
    code, expected = ANSWERS[line]
    assert done.returncode == code
    assert done.stderr.decode().startswith(expected)  # a trace of its stack follows
    assert done.stdout.startswith(b"NAME:\n") == shows_help
