"""`changes/`: every file can become an entry of the changelog."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.changes import ROOT, BadChange, fragments, released

CHANGELOG = """\
# Changelog

## Unreleased

### Added

- One thing,
  in two lines.

## 0.1.0 - 2026-01-01

### Fixed

- An old thing.
"""


def test_what_is_there_can_be_released() -> None:
    list(fragments(ROOT / "changes"))
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "\n## 1.2.3 - 2026-12-24\n" in released(text, ROOT / "changes", "1.2.3", "2026-12-24")


def test_a_release_has_all_entries_by_kind(tmp_path: Path) -> None:
    (tmp_path / "b.added.md").write_text("Another\nthing.\n")
    (tmp_path / "a.security.md").write_text(f"{'Word ' * 25}end.")
    assert (
        released(CHANGELOG, tmp_path, "0.2.0", "2026-02-02")
        == f"""\
# Changelog

## Unreleased

## 0.2.0 - 2026-02-02

### Added

- One thing,
  in two lines.
- Another thing.

### Security

- {"Word " * 18}Word
  {"Word " * 6}end.

## 0.1.0 - 2026-01-01

### Fixed

- An old thing.
"""
    )


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.md", "A thing.", "name it"),
        ("x.nice.md", "A thing.", "name it"),
        ("x.added.txt", "A thing.", "name it"),
        ("x.added.md", "\n", "write a sentence"),
        ("x.added.md", "- A thing.", "without a bullet"),
    ],
)
def test_a_file_that_can_not(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(BadChange, match=why):
        list(fragments(tmp_path))
