"""Layers that are pushed while they are made."""

from __future__ import annotations

import json
import os

import pytest

from croze.image import reference
from croze.image.descriptor import Descriptor
from croze.registry import early, push
from croze.registry.client import Repository
from croze.registry.credentials import Anonymous
from croze.registry.growing import SMALLEST_BYTES, GrowingBlob, push_growing
from tests.export.results import checked, export, make_ref, single
from tests.sources.rig import Rig

pytestmark = pytest.mark.root


class Pushes:
    """What becomes of layers that are pushed early, and what is pushed as anything is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool = False) -> None:
        self.early: list[bool] = []
        self.late: list[str] = []
        self._fails = fails
        self._push_blob = push.push_blob
        monkeypatch.setattr(early, "push_growing", self._push_growing)
        monkeypatch.setattr(push, "push_blob", self._push)

    async def _push_growing(self, repo: Repository, blob: GrowingBlob) -> bool:
        self.early.append(not self._fails and await push_growing(repo, blob))
        return self.early[-1]

    async def _push(
        self, repo: Repository, blob: Descriptor, *more: object, **named: object
    ) -> None:
        self.late.append(blob.digest)
        await self._push_blob(repo, blob, *more, **named)  # type: ignore[arg-type]


def large() -> str:
    """Text that is more than `SMALLEST_BYTES` when compressed."""
    return os.urandom(SMALLEST_BYTES + 1_000_000).hex()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_large_layer_is_there_once(
    rig: Rig, host: str, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    pushes = Pushes(monkeypatch, fails=fails)
    ref = await make_ref(rig, {"a": large()}, {"b": "small"})
    attrs = {"name": f"{host}/early:1,{host}/other:1", "push": "true"}
    answer = await export(rig, "image", attrs, single(ref, rows=2))
    manifest = json.loads(checked(rig.store.blobs, answer["containerimage.digest"]))
    digest, *_ = layers = [layer["digest"] for layer in manifest["layers"]]
    assert sorted(pushes.early) == [False, not fails]
    # Of two repositories one has it early.
    assert pushes.late.count(digest) == (2 if fails else 1)
    for name in ("early", "other"):
        repo = rig.registry.repository(reference.parse(f"{host}/{name}"), Anonymous())
        for layer in layers:
            size = rig.store.blobs.size(layer)
            assert await push.has_blob(repo, Descriptor("", layer, size))
    await ref.release()


async def test_what_is_made_once_more_waits(
    rig: Rig, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its times lowered it is another blob."""
    pushes = Pushes(monkeypatch)
    ref = await make_ref(rig, {"a": "small"})
    attrs = {"name": f"{host}/late:1", "push": "true", "rewrite-timestamp": "true"}
    attrs["source-date-epoch"] = "1"
    await export(rig, "image", attrs, single(ref))
    assert not pushes.early
    await ref.release()


async def test_nothing_goes_where_nothing_is_pushed(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushes = Pushes(monkeypatch)
    ref = await make_ref(rig, {"a": "small"})
    await export(rig, "image", {"name": "x.io/app"}, single(ref))
    assert not pushes.early
    await ref.release()
