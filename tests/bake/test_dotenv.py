"""Files of environment variables, to their last character."""

from __future__ import annotations

import pytest

from croze.bake.compose.dotenv import DotenvError, parse_dotenv


def warn(text: str) -> None:
    raise AssertionError(text)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("A=b # c", {"A": "b"}),
        ("A=b\n# c", {"A": "b"}),
        ("# c\nA=\nB=c\n", {"A": "", "B": "c"}),
        ("A='b'", {"A": "b"}),
        ("A=", {"A": ""}),
        ("A", {}),
        ("export A=b\nOUTSIDE\n", {"A": "b", "OUTSIDE": "x"}),
        ("A=1\nOUTSIDE=2\nB=$A$OUTSIDE", {"A": "1", "OUTSIDE": "2", "B": "1x"}),
    ],
)
def test_lines(text: str, variables: dict[str, str]) -> None:
    assert parse_dotenv(text, {"OUTSIDE": "x"}.get, warn) == variables


def test_a_quoted_value_that_does_not_end_is_told_of_with_its_line() -> None:
    with pytest.raises(DotenvError, match=r"^line 2: unterminated quoted value 'b$"):
        parse_dotenv("A=1\nB='b\nC=c\n", dict[str, str]().get, warn)
