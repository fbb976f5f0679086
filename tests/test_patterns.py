"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import copy
import pickle
import re

import pytest

from croze.patterns import lazy_pattern

DIGITS = lazy_pattern("[0-9]+")


def test_it_is_compiled_once_and_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    compile = re.compile

    def counted(text: str, flags: int = 0) -> re.Pattern[str]:
        compiled.append(text)
        return compile(text, flags)

    monkeypatch.setattr(re, "compile", counted)
    digits = lazy_pattern("[0-9]+|x", re.IGNORECASE)
    assert not compiled
    assert [bool(digits.fullmatch(text)) for text in ("12", "X", "", "y")] == [
        True,
        True,
        False,
        False,
    ]
    assert compiled == ["[0-9]+|x"]
    assert digits.sub("n", "a1x") == "ann"


def test_it_can_be_copied_and_sent_to_a_worker() -> None:
    for again in (copy.deepcopy(DIGITS), pickle.loads(pickle.dumps(DIGITS))):
        assert again.fullmatch("12")
