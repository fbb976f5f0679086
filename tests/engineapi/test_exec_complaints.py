"""Why a program could not be started, in runc's words, whichever runtime complained."""

from __future__ import annotations

import pytest

from croze.engineapi.containers.execs import why_not

_START = "unable to start container process: "


@pytest.mark.parametrize(
    ("complaint", "program", "told", "code"),
    [
        ("executable file `ls` not found in $PATH", "ls", "$PATH", 127),
        ("open executable: Operation not permitted", "/f", 'exec: "/f": permission denied', 126),
        (
            f'exec failed: {_START}exec: "/F": permission denied',
            "/F",
            'exec: "/F": permission denied',
            126,
        ),
        (
            "chdir `/no`: No such file or directory",
            "ls",
            'chdir to cwd ("/no") set in config.json failed: no such file or directory',
            126,
        ),
        (
            f'{_START}chdir to cwd ("/f") set in config.json failed: not a directory',
            "ls",
            'chdir to cwd ("/f") set in config.json failed: not a directory',
            126,
        ),
    ],
)
def test_in_the_same_words(complaint: str, program: str, told: str, code: int) -> None:
    text, found = why_not(complaint, program)
    assert (text.startswith(_START), text.endswith(told), found) == (True, True, code), text
    assert text.count("unable to start") == 1
