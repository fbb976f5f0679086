"""What templates see of a build's record: buildx's structs, whole."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from croze.cli.history.about import context_and_dockerfile
from croze.cli.history.about_fields import of_members
from croze.client.records.history import Record
from croze.gotypes.moments import local_rfc3339
from croze.gotypes.template import TemplateError, render

PAIRS = [{"Name": "A", "Value": "2"}, {"Name": "B"}]
MEMBERS = {
    "Name": "one",
    "Duration": 1_500_000_000,
    "NumTotalSteps": 3,
    "BuildArgs": PAIRS,
    "Config": {"Network": "host", "RestRaw": PAIRS[:1]},
    "Attachments": [{"Digest": "sha256:1", "Type": "t"}],
}
ERROR = {"Code": 2, "Message": "no", "Sources": base64.b64encode(b"x:1").decode()}


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.StartedAt}} {{.CompletedAt}}", "2026-01-01 07:00:00.5 -0500 EST <nil>"),
        ("{{.Duration}} {{.KeepGitDir}} {{.NumCachedSteps}}", "1.5s false 0"),
        ("{{.BuildArgs}} {{.Labels}} {{.Materials}}", "[{A 2} {B }] [] []"),
        ("{{range .BuildArgs}}{{.Name}}={{.Value}};{{end}}", "A=2;B=;"),
        ("{{range .Attachments}}{{.Digest}}|{{.Platform}}|{{.Type}}{{end}}", "sha256:1||t"),
        ("{{.Config.Network}} {{.Config.NoCache}} {{.Config.NoCacheFilter}}", "host false []"),
        ("{{.Config.RestRaw}} {{if .Config.ShmSize}}x{{end}}", "[{A 2}] "),
        ("{{.Error}}{{if .Error}}x{{end}}{{with .CompletedAt}}x{{end}}", "<nil>"),
        ("{{.Duration.Seconds}} {{gt .Duration 1000000000}}", "1.5 true"),
        ('{{.StartedAt.Year}} {{.StartedAt.Format "15:04"}}', "2026 07:00"),
        ("{{json .Error}} {{eq .Error nil}}", "null true"),
        ("{{json .BuildArgs}}", '[{"Name":"A","Value":"2"},{"Name":"B"}]'),
    ],
)
def test_fields_of_a_record(template: str, text: str) -> None:
    record = Record(CreatedAt=Timestamp(seconds=1_767_268_800, nanos=500_000_000))
    assert render(template, of_members(MEMBERS, record)) == text


def test_an_error_has_fields() -> None:
    fields = of_members({**MEMBERS, "Error": ERROR}, Record())
    template = '{{.Error.Code}} {{.Error.Logs}} {{.Error.Sources}} {{printf "%s" .Error.Sources}}'
    assert render(template, fields) == "2 [] [120 58 49] x:1"


def test_no_error_has_none() -> None:
    said = "<.Error.Code>: nil pointer evaluating [*]history.errorOutput.Code"
    with pytest.raises(TemplateError, match=said):
        render("{{.Error.Code}}", of_members(MEMBERS, Record()))


def test_moments_where_we_are() -> None:
    stamp = Timestamp(seconds=1_767_268_800, nanos=5)
    assert local_rfc3339(stamp) == "2026-01-01T07:00:00.000000005-05:00"
    assert local_rfc3339(stamp, fraction=False) == "2026-01-01T07:00:00-05:00"


@pytest.mark.parametrize(
    ("folder", "name", "shown"),
    [(".", "Dockerfile", "Dockerfile"), ("a/", "../b", "b"), ("a", "./b", "a/b")],
)
def test_where_the_dockerfile_is(folder: str, name: str, shown: str) -> None:
    """In the repository, and named the shortest way, as Go's `filepath.Join` has it."""
    attrs = {"filename": name, "vcs:localdir:dockerfile": folder}
    assert context_and_dockerfile(attrs, None)["Dockerfile"] == shown
