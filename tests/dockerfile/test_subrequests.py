"""Replies to outline, targets, lint and describe."""

from __future__ import annotations

import json

from croze.api import ops_pb2
from croze.dockerfile import subrequests as sub
from croze.dockerfile.lint import LintWarning
from croze.dockerfile.location import line_ranges

FILE = b"FROM a AS x\n# y does it\nFROM x AS y\n"


def test_targets_are_listed_with_their_places() -> None:
    reply = sub.targets_reply(sub.list_targets(FILE), FILE)
    value = json.loads(reply["result.json"])
    assert value["targets"][1] == {
        "name": "y",
        "default": True,
        "description": "does it",
        "base": "x",
        "location": {"ranges": [{"start": {"line": 3}, "end": {"line": 3}}]},
    }
    assert reply["result.txt"] == b"TARGET      DESCRIPTION\nx           \ny (default) does it\n"
    assert reply["version"] == b"1.0.0"


def test_outline_is_in_order_of_the_file() -> None:
    found = sub.outline(
        "t",
        "",
        args={
            "b": sub.OutlineArg("b", "", "", line_ranges(3)),
            "a": sub.OutlineArg("a", "<1>", "first", line_ranges(1)),
        },
        secrets={"s": sub.OutlineUse("s", True, line_ranges(2))},
        ssh={},
    )
    reply = sub.outline_reply(found, FILE)
    assert b"\\u003c1\\u003e" in reply["result.json"]
    assert reply["result.txt"].decode() == (
        "TARGET: t\n\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "a           <1>     first\n"
        "b                   \n\n"
        "SECRET   REQUIRED\n"
        "s        true\n\n"
    )


def test_findings_are_told_with_their_lines() -> None:
    report = sub.LintReport(
        (
            LintWarning("B", "about B", "https://b", "b here", line_ranges(3)),
            LintWarning("A", "about A", "", "a here", line_ranges(1)),
        ),
        sub.BuildError("broken", line_ranges(2)),
    )
    source = ops_pb2.SourceInfo(filename="Dockerfile", data=FILE, language="Dockerfile")
    reply = sub.lint_reply(report, source)
    value = json.loads(reply["result.json"])
    assert [w["ruleName"] for w in value["warnings"]] == ["B", "A"]
    assert value["buildError"]["message"] == "broken"
    assert value["sources"][0]["filename"] == "Dockerfile"
    assert reply["result.statuscode"] == b"1"
    text = reply["result.txt"].decode()
    assert text.startswith("\nWARNING: A\na here\nDockerfile:1\n----")
    assert "\nWARNING: B - https://b\nb here\n" in text


def test_clean_lint_report() -> None:
    reply = sub.lint_reply(sub.LintReport(()), ops_pb2.SourceInfo(data=FILE))
    assert json.loads(reply["result.json"])["warnings"] is None
    assert (reply["result.txt"], reply["result.statuscode"]) == (b"", b"0")


def test_describe_leaves_lint_out() -> None:
    reply = sub.describe_reply()
    names = [request["name"] for request in json.loads(reply["result.json"])]
    assert names == ["frontend.outline", "frontend.targets", "frontend.subrequests.describe"]


def test_places_of_an_error_are_merged() -> None:
    places = [line_ranges(3, 4), line_ranges(3), line_ranges(1)]
    assert sub.merge_locations(places) == line_ranges(1) + line_ranges(3, 4)
