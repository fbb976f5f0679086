"""`--invoke` and `--on`, as buildx reads them."""

from __future__ import annotations

import pytest

from croze.debug.invocation import Invocation, parse_invocation
from croze.errors import InvalidRequest


@pytest.mark.parametrize(
    ("invoke", "on", "want"),
    [
        ("", "error", Invocation()),
        ("default", "always", Invocation(always=True)),
        ("on-error", "error", Invocation(cmd=["/bin/sh"], no_cmd=False)),
        ("bash", "error", Invocation(cmd=["bash"], no_cmd=False)),
        ("bash", "", Invocation(cmd=["bash"], no_cmd=False, always=True)),
        (
            'entrypoint=sh,"args=[""-c"",""a,b""]",env=A=b,tty=false',
            "error",
            Invocation(
                entrypoint=["sh"],
                cmd=["-c", "a,b"],
                no_cmd=False,
                env=("A=b",),
                tty=False,
                no_user=True,
                no_cwd=True,
            ),
        ),
        (
            "user=me,cwd=/x",
            "error",
            Invocation(user="me", cwd="/x"),
        ),
        (
            'args=a"b',
            "error",
            Invocation(cmd=['a"b'], no_cmd=False, no_user=True, no_cwd=True),
        ),
    ],
)
def test_invocations_are_read_as_buildx_does(invoke: str, on: str, want: Invocation) -> None:
    assert parse_invocation(invoke, on) == want


@pytest.mark.parametrize(
    ("invoke", "told"),
    [
        ("args=a,b", "invalid value b"),
        ("a=b", 'unknown key "a"'),
        ("tty=x", 'failed to parse tty: strconv.ParseBool: parsing "x": invalid syntax'),
    ],
)
def test_what_is_no_invocation_is_refused(invoke: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_invocation(invoke, "error")
    assert str(raised.value) == told
