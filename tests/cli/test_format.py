"""Lists as tables, JSON and templates."""

from __future__ import annotations

import pytest

from croze.cli.format import print_formatted
from croze.errors import InvalidRequest
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


def test_headings_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    format = "table {{json .ID}}\t{{lower .ID}}\t{{truncate .ID 1}}\t{{.Nope}}"
    items = [Fields({"ID": "Ab", "Nope": 1})]
    print_formatted(format, items, HEADERS)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["THE", "ID", "THE", "ID", "THE", "ID", "<no", "value>"],
        ['"Ab"', "ab", "A", "1"],
    ]


@pytest.mark.parametrize("format", ["{{", "table {{nope .ID}}", "{{if .ID}}{{nope}}{{end}}"])
def test_what_is_no_template_is_refused_of_nothing_too(format: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^template parsing error: template: :1: "):
        print_formatted(format, [], HEADERS)
