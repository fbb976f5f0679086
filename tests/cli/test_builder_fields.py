"""What templates of `ls` find in a builder, as buildx prints it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from croze.api import worker_pb2
from croze.builders.model import BuilderInstance, BuilderNode
from croze.cli.builder_fields import ListedBuilder, builder_fields
from croze.drivers.nodes import NodeState
from croze.gotypes.template import render
from croze.gotypes.template.values import NilTexts, Texts
from croze.image.platform import Platform

NODE = BuilderNode("b0", "tcp://x", (Platform("arm64", "linux"),))
WORKER = worker_pb2.WorkerRecord(
    ID="w",
    GCPolicy=[worker_pb2.GCPolicy(keepDuration=172800 * 10**9, filters=["a"], maxUsedSpace=5)],
)


@pytest.fixture
def listed() -> ListedBuilder:
    builder = BuilderInstance("b", "remote", (NODE,))
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    platforms = [Platform("amd64", "linux"), Platform("amd64", "linux", variant="v2")]
    states = [NodeState(NODE, version="v1", workers=[WORKER], pod_platforms=platforms)]
    return ListedBuilder(builder, states, True, at, {})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Err}} {{range .Nodes}}{{.Err}}{{end}}", "<nil> <nil>"),
        ("{{if .Err}}bad{{else}}good{{end}}", "good"),
        ("{{.LastActivity}} {{.LastActivity.Year}}", "2026-01-31 12:00:00 +0000 UTC 2026"),
        ('{{printf "%T" .LastActivity}}', "time.Time"),
        (
            "{{range .Nodes}}{{.Platforms}}{{end}}",
            "[{arm64 linux  [] } {amd64 linux  [] } {amd64 linux  [] v2}]",
        ),
        ("{{range .Nodes}}{{range .Platforms}}{{.OS}},{{end}}{{end}}", "linux,linux,linux,"),
        ("{{range .Nodes}}{{.GCPolicy}}{{end}}", "[{false [a] 48h0m0s 0 5 0}]"),
        ("{{range .Nodes}}{{.Builder}} {{.CDIDevices}}{{end}}", "b []"),
        (
            "{{.NodeGroup}}",
            "{b remote [{b0 tcp://x [{arm64 linux  [] }] map[] [] map[]}] false false "
            "2026-01-31 12:00:00 +0000 UTC}",
        ),
        (
            "{{json .}}",
            '{"Name":"b","Driver":"remote","LastActivity":"2026-01-31T12:00:00Z","Dynamic":false,'
            '"Nodes":[{"Name":"b0","Endpoint":"tcp://x","Version":"v1","IDs":["w"],'
            '"Platforms":["linux/arm64","linux/amd64","linux/amd64/v2"],"GCPolicy":[{"all":false,'
            '"filter":["a"],"keepDuration":172800000000000,"reservedSpace":0,"maxUsedSpace":5,'
            '"minFreeSpace":0}]}]}',
        ),
    ],
)
def test_a_builder_in_templates(listed: ListedBuilder, template: str, text: str) -> None:
    assert render(template, builder_fields(listed)) == text


def test_a_builder_that_nobody_has_used(listed: ListedBuilder) -> None:
    unused = ListedBuilder(listed.builder, listed.states, False, None, {})
    assert render("{{.LastActivity}}", builder_fields(unused)) == "0001-01-01 00:00:00 +0000 UTC"


@pytest.mark.parametrize(("texts", "json"), [(NilTexts(), "null"), (Texts(), "[]")])
def test_a_list_that_nobody_has_made_is_null(texts: Texts, json: str) -> None:
    template = '{{json .}} {{.}} {{len .}} {{printf "%T" .}}'
    assert render(template, texts) == f"{json} [] 0 []string"
