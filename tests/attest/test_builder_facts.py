"""What an administrator says of the builder."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.attest.builder_facts import read_facts
from croze.errors import InvalidRequest


def test_files_are_laid_over_one_another(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1, "b": [true]}')
    (tmp_path / "b.json").write_text('{"a": {"c": "d"}}')
    (tmp_path / "note.txt").write_text("{")
    (tmp_path / "folder.json").mkdir()
    assert read_facts(tmp_path) == {"a": {"c": "d"}, "b": [True]}


def test_nothing_is_said(tmp_path: Path) -> None:
    assert read_facts(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[]", "failed to parse .*a.json"),
        ("{", "failed to parse .*a.json"),
        ('{"platform": "x"}', 'key "platform" is builtin and not allowed'),
    ],
)
def test_what_can_not_be_said(tmp_path: Path, text: str, error: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InvalidRequest, match=error):
        read_facts(tmp_path)
