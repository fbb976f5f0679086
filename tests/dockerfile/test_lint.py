"""Which rules run, and what they say."""

from __future__ import annotations

import pytest

from croze.dockerfile import lint_rules
from croze.dockerfile.directives import detect_syntax, find_directive
from croze.dockerfile.instructions import parse_stages
from croze.dockerfile.lint import LintConfig, Linter, LintWarning, format_short, parse_check
from croze.dockerfile.location import DockerfileError, line_ranges
from croze.dockerfile.parser import parse
from croze.gotypes.letters import to_lower, to_upper


def names(text: str, check: str = "") -> list[str]:
    found: list[LintWarning] = []
    parse_stages(parse(text.encode()).ast, Linter(parse_check(check), found.append))
    return [warning.rule for warning in found]


BAD = "FROM a as B\nMAINTAINER x\n"


@pytest.mark.parametrize(
    ("check", "want"),
    [
        ("", ["StageNameCasing", "FromAsCasing", "MaintainerDeprecated"]),
        ("skip=all", []),
        ("skip=FromAsCasing, StageNameCasing", ["MaintainerDeprecated"]),
        ("error=true;skip=MaintainerDeprecated", ["StageNameCasing", "FromAsCasing"]),
    ],
)
def test_rules_can_be_skipped(check: str, want: list[str]) -> None:
    assert names(BAD, check) == want


def test_experimental_rules_are_off_until_asked_for() -> None:
    text = "# some words\nFROM a AS b\n"
    assert names(text) == []
    assert names(text, "experimental=all") == ["InvalidDefinitionDescription"]
    assert names(text, "experimental=InvalidDefinitionDescription;skip=all") == [
        "InvalidDefinitionDescription"
    ]


def test_comment_above_an_instruction_counts_for_it_alone() -> None:
    text = "FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER x\nMAINTAINER y\n"
    assert names(text) == ["MaintainerDeprecated"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", 'invalid check option "skip"'),
        ("foo=1", 'invalid check option "foo"'),
        (
            "error=x",
            'failed to parse check option "error=x": strconv.ParseBool: parsing "x":'
            " invalid syntax",
        ),
    ],
)
def test_bad_check_options(text: str, message: str) -> None:
    with pytest.raises(DockerfileError) as caught:
        parse_check(text)
    assert str(caught.value) == message


def test_findings_fail_the_build_only_if_asked_to() -> None:
    linter = Linter(LintConfig(error=True), lambda warning: None)
    assert linter.error() is None
    linter.run(lint_rules.STAGE_NAME_CASING, line_ranges(1), "B")
    linter.for_comments(["check=skip=x"]).run(lint_rules.FROM_AS_CASING, line_ranges(1), "a", "b")
    assert str(linter.error()) == ("lint violation found for rules: FromAsCasing, StageNameCasing")


def test_warning_on_one_line() -> None:
    assert format_short("Rule", "text", 3) == "Rule: text (line 3)"
    assert format_short("Rule", "text", 0) == "Rule: text"


@pytest.mark.parametrize(
    ("data", "head", "value", "line"),
    [
        (b"# syntax = a/b:1 x y\nFROM a", "a/b:1", "a/b:1 x y", 1),
        (b"\xef\xbb\xbf#!/bin/x\n# check=x\n#SYNTAX=b\n", "b", "b", 3),
        (b"// syntax=c\n", "c", "c", 1),
        (b'{"syntax": "d e"}', "d e", "d e", 0),
    ],
)
def test_a_syntax_line_is_found_with_its_place(
    data: bytes, head: str, value: str, line: int
) -> None:
    found = detect_syntax(data)
    assert found is not None
    assert (found.head, found.value, found.location) == (head, value, line_ranges(line))


@pytest.mark.parametrize(
    "data", [b"FROM a\n# syntax=b", b"\n# syntax=b", b"# x\n# syntax=b", b"{]"]
)
def test_what_is_no_syntax_line_is_passed_over(data: bytes) -> None:
    assert detect_syntax(data) is None


def test_directive_values_have_a_first_word() -> None:
    found = find_directive("check", b"# escape=`\n# check=skip=all more\n")
    assert found is not None
    assert found.head == "skip=all"


def test_casing_is_compared_letter_by_letter() -> None:
    assert to_upper("aß\udcff") == "Aß\ufffd"
    assert to_lower("AÉ\udcff") == "aé\ufffd"
