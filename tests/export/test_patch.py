"""History and times of image configs."""

from __future__ import annotations

import json

import pytest

from croze.errors import InvalidRequest
from croze.export.patch import LayerFacts, complete_history, patch_config
from croze.image.config import HistoryEntry

CONFIG = b'{"os":"linux","architecture":"amd64","zzz":{"b":1,"a":"<"},"config":{}}'


def test_layers_without_a_row_get_one() -> None:
    rows = complete_history(
        [HistoryEntry(created="1", created_by="RUN a")],
        [LayerFacts("1", "a"), LayerFacts("2", "second"), LayerFacts("3")],
    )
    assert [(r.created, r.created_by, r.comment) for r in rows] == [
        ("1", "RUN a", ""),
        ("2", "second", "buildkit.exporter.image.v0"),
        ("3", "created by buildkit", "buildkit.exporter.image.v0"),
    ]


def test_rows_without_a_layer_are_empty() -> None:
    rows = complete_history(
        [HistoryEntry(created_by="a"), HistoryEntry(created_by="b")], [LayerFacts("1")]
    )
    assert [r.empty_layer for r in rows] == [False, True]


def test_times_come_from_the_first_new_layer_or_the_row_before() -> None:
    rows = [
        HistoryEntry(created="base"),
        HistoryEntry(empty_layer=True),
        HistoryEntry(),
        HistoryEntry(empty_layer=True),
        HistoryEntry(),
    ]
    facts = [LayerFacts("base"), LayerFacts("new"), LayerFacts("newer")]
    assert [row.created for row in complete_history(rows, facts)] == [
        "base", "new", "new", "new", "newer",
    ]  # fmt: skip


def test_unknown_members_stay_and_all_are_sorted() -> None:
    assert patch_config(CONFIG, ["sha256:1"], [HistoryEntry(created="2020-01-01T00:00:00Z")]) == (
        b'{"architecture":"amd64","config":{},"created":"2020-01-01T00:00:00Z",'
        b'"history":[{"created":"2020-01-01T00:00:00Z"}],"os":"linux",'
        b'"rootfs":{"type":"layers","diff_ids":["sha256:1"]},"zzz":{"b":1,"a":"\\u003c"}}'
    )


def test_an_image_of_nothing() -> None:
    data = json.loads(patch_config(CONFIG, [], []))
    assert data["history"] is None
    assert data["created"] is None
    assert data["rootfs"] == {"type": "layers", "diff_ids": None}


def test_inline_cache() -> None:
    data = json.loads(patch_config(CONFIG, [], [], inline_cache=b"{}"))
    assert data["moby.buildkit.cache.v0"] == "e30="


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"{}", "missing os"),
        (b'{"os":"linux"}', "os and architecture must be specified together"),
        (b"null", "invalid null image config for export"),
        (b"[]", "invalid image config"),
    ],
)
def test_bad_configs(config: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        patch_config(config, [], [])
