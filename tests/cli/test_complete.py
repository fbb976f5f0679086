"""Every command says what it reads before it does anything."""

from __future__ import annotations

import pytest

from croze.cli.commands import COMMANDS, HIDDEN, load
from croze.cli.complete import complete, flags_of


def _paths() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name in sorted(COMMANDS | HIDDEN):
        inner = getattr(load(name), "COMMANDS", None)
        found += [(name, each) for each in sorted(inner)] if inner else [(name,)]
    return found


@pytest.mark.parametrize("path", _paths(), ids=" ".join)
def test_every_command_has_flags(path: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    flags = flags_of(path)
    assert flags is not None
    assert "--builder" in {name for action in flags.actions() for name in action.option_strings}
    assert capfd.readouterr() == ("", ""), "nothing is done, and nothing is said"


def test_words_that_lead_nowhere() -> None:
    assert complete(["version", "--", "x"], "-") == complete(["version"], "")
    assert complete(["history", "inspect", "attachment"], "--ty")[0] == [
        ("--type", "Type of attachment")
    ]
    assert complete(["--builder"], "no such")[0] == []
