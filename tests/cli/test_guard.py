"""What is said of a mistake of ours."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from croze.cli.common import Common, UsageError
from croze.cli.guard import guarded, internal_error
from croze.errors import Canceled, CrozeError
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


class _Command:
    """Prints, then ends by an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, words: Sequence[str], common: Common) -> int:
        print("printed")
        raise self._error


@pytest.mark.parametrize(
    "error",
    [CrozeError("x"), UsageError("x", "croze ls"), OSError(5, "x"), ValueError("x"), Canceled("x")],
)
def test_errors_come_after_what_was_printed(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a file that both streams go to."""
    monkeypatch.setattr("croze.cli.guard.load", lambda _name: _Command(error))
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    path = tmp_path / "both"
    try:
        with path.open("a") as out, path.open("a", buffering=1) as err, monkeypatch.context() as m:
            m.setattr("sys.stdout", out)
            m.setattr("sys.stderr", err)
            assert guarded("ls", [], Common()) in (1, 130)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    first, second, *_ = path.read_text().splitlines()
    assert first == "printed"
    assert second.startswith("ERROR: ")
