"""What is said of a mistake of ours."""

from __future__ import annotations

import pytest

from croze.cli.guard import internal_error
from croze.gotypes.sizes import parse_bytes


def mistake() -> AttributeError:
    with pytest.raises(AttributeError) as caught:
        parse_bytes(None)  # type: ignore[arg-type]
    return caught.value


def test_it_is_one_line_that_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    """In our own files, though the last of all may be somebody else's."""
    told = internal_error(mistake(), debug=False)
    assert told.startswith("internal error: AttributeError: ")
    assert "(at gotypes/sizes.py:" in told
    assert told.endswith("; --debug tells more)")
    assert capsys.readouterr().err == ""


def test_who_asks_for_more_sees_where_it_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    internal_error(mistake(), debug=True)
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback")
    assert "parse_bytes(None)" in shown


def test_what_did_not_come_from_our_files() -> None:
    assert "(at croze; " in internal_error(ValueError("x"), debug=False)
