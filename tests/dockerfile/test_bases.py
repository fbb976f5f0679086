"""Base images: which of them is as good as `scratch`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from croze import llb
from croze.dockerfile.frontend import build
from croze.dockerfile.resolver import ImageQuestion, ResolvedImage
from tests.golden.stub_resolver import StubResolver

FULL, EMPTY = {"created_by": "x"}, {"created_by": "x", "empty_layer": True}


@dataclass
class Based(StubResolver):
    """Has one image, of this config."""

    config: dict[str, object] = field(default_factory=dict)

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        described = {"os": "linux", "architecture": "amd64", **self.config}
        return ResolvedImage(question.ref, "", json.dumps(described).encode())


@pytest.mark.parametrize(
    ("diff_ids", "history", "is_empty"),
    [
        ([], [], True),
        ([], [EMPTY, EMPTY], True),
        ([], [EMPTY, FULL], False),
        (["sha256:" + "a" * 64], [], False),
        (["sha256:" + "a" * 64], [FULL, EMPTY], False),
    ],
)
async def test_an_image_without_layers_is_not_fetched(
    diff_ids: list[str], history: list[dict[str, object]], is_empty: bool
) -> None:
    config: dict[str, object] = {
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": history,
    }
    text = b"FROM base\nCOPY <<E /e\nE\n"
    result = await build({}, Based(text, "dockerfile", "Dockerfile", config=config))
    sources = [source.identifier for source in llb.source_ops(result.definitions[""])]
    assert sources == ([] if is_empty else ["docker-image://docker.io/library/base:latest"])
