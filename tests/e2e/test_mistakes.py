"""What is wrong with a Dockerfile is said with its line, the instruction and the cause."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import Sandbox

# Dockerfile, the last line of the message (or its end), the lines the excerpt marks
MISTAKES = [
    ("FROM base\nRUN --mount=type=foo x\n", 'unsupported mount type "foo"', [2]),
    (
        "FROM base\nRUN --mount=type=bind,targt=/x x\n",
        "unexpected key 'targt' in 'targt=/x' (did you mean target?)",
        [2],
    ),
    ("FROM base\nRUN --mount=target=/ true\n", 'invalid mount target "/"', [2]),
    (
        "FROM base\nRUN --network=foo x\n",
        'dockerfile parse error on line 2: invalid network mode "foo"',
        [2],
    ),
    (
        "FROM base\nRUN --security=insecure x\n",
        "failed to load LLB: security.insecure is not allowed",
        [2],
    ),
    ("FROM base\nRUN --network=host x\n", "failed to load LLB: network.host is not allowed", [2]),
    ("FROM base\nRUN --foo x\n", "dockerfile parse error on line 2: unknown flag: --foo", [2]),
    (
        "FROM base\nRUN --device=x x\n",
        "device feature is only supported in Dockerfile frontend 1.14.0-labs or later",
        [2],
    ),
    (
        "# syntax=docker/dockerfile:1-labs\nFROM base\nRUN --device=x,required x\n",
        'failed to load LLB: required device "x" is not registered',
        [3],
    ),
    (
        "FROM base AS a\nCOPY --from=b x /\nFROM base AS b\nCOPY --from=a x /\n",
        "circular dependency detected on stage: a",
        [2, 4],
    ),
    ("FROM ${X}\n", "base name (${X}) should not be blank", [1]),
    ("FROM base\n\nENV a\n", "ENV must have two arguments", [3]),
    ("FROM base\nCOPY a\n", "Destination could not be determined", [2]),
    ("FROM base\nEXPOSE abc\n", "invalid containerPort: abc", [2]),
    (
        "FROM base\nCOPY --chmod=9999 a /b\n",
        "it should be octal string and between 0 and 07777",
        [2],
    ),
    (
        "FROM base\nUSER who\nRUN true\n",
        "unable to find user who: no matching entries in passwd file",
        [3],
    ),
    ("RUN x\n", "no build stage in current context", [1]),
    ("FROM base\nSTOPSIGNAL x\n", "invalid signal: x", [2]),
    ("FROM base\nHEALTHCHECK --interval=1 CMD x\n", 'missing unit in duration "1"', [2]),
    ("FROM base\nRUN --mount=type=secret,id=z,required true\n", "secret z: not found", [2]),
    ("FROM base\nRUN --mount=type=ssh,required true\n", "unset ssh forward key default", [2]),
    ("FROM base\nRUN <<EOF\nx\n", "unterminated heredoc", [2, 3]),
    (
        "FROM base AS o\nRUN true\nFROM base\nCOPY --from=o \\\n /nothere /\n",
        '"/nothere": not found',
        [4, 5],
    ),
    ("FROM base\nRUN --mount=source=/nothere,target=/x true\n", '"/nothere": not found', [2]),
    ("FROM base\nONBUILD FROM x\n", "FROM isn't allowed as an ONBUILD trigger", [2]),
    ("FROM base AS 1a\n", "name can't start with a number or contain symbols", [1]),
    ("FROM base AS x y\n", "FROM requires either one or three arguments", [1]),
    ("# escape=x\nFROM base\n", "invalid escape token 'x' does not match ` or \\", []),
    ("FROM base\nRUN exit 3\n", "did not complete successfully: exit code: 3", [2]),
    (
        'FROM base\nRUN ["/none"]\n',
        'process "/none" did not complete successfully: exit code: 1',
        [2],
    ),
    ("FROM base\nARG A=${B:?need it}\n", "", [2]),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: m[0].splitlines()[-1][:40])
def test_mistakes_are_told_in_one_message_with_their_lines(
    desk: Sandbox, busybox: Path, tmp_path: Path, mistake: tuple[str, str, list[int]]
) -> None:
    text, message, lines = mistake
    (tmp_path / "Dockerfile").write_text(text)
    (tmp_path / "one").write_text("1")
    done = desk.croze("build", *base(busybox), "--progress=plain", tmp_path, check=False)
    assert done.code == 1
    assert "Traceback" not in done.stderr
    marked = [line.split("|")[0] for line in done.stderr.splitlines() if "| >>> " in line]
    assert [int(number) for number in marked] == lines
    last = done.stderr.rstrip().splitlines()[-1]
    assert last.startswith("ERROR: failed to build: failed to solve: ")
    assert last.endswith(message)
