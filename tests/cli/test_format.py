"""Lists as tables, JSON and templates."""

from __future__ import annotations

import pytest

from croze.cli.format import print_formatted
from croze.gotypes.template import Fields

HEADERS = {"ID": "THE ID"}
ITEMS = [Fields({"ID": "a"}), Fields({"ID": ""})]


@pytest.mark.parametrize(
    ("format", "count", "text"),
    [
        ("{{.ID}}", 2, "a\n\n"),
        ("{{.ID}}", 0, ""),
        ("table {{.ID}}", 0, "THE ID\n"),
    ],
)
def test_of_nothing_only_a_table_has_a_line(
    capsys: pytest.CaptureFixture[str], format: str, count: int, text: str
) -> None:
    print_formatted(format, ITEMS[:count], HEADERS)
    assert capsys.readouterr().out == text
