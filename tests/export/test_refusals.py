"""What can't be exported, and what is no error though it comes to nothing."""

from __future__ import annotations

import json

import pytest

from croze.errors import InvalidRequest
from croze.export.contract import Attestation
from tests.export.results import AMD, ARM, checked, export, make_ref, several, single
from tests.sources.rig import Rig

pytestmark = pytest.mark.root


async def test_annotations_that_fit_nothing(rig: Rig) -> None:
    with pytest.raises(InvalidRequest, match="index annotations not supported for single platform"):
        await export(rig, "image", {"annotation-index.a": "b"}, single(None, rows=0))
    ref = await make_ref(rig, {"a": "one"})
    elsewhere = {"annotation[linux/s390x].a": "b"}
    with pytest.raises(InvalidRequest, match="no platform linux/s390x found in source"):
        await export(rig, "image", elsewhere, several({AMD: ref, ARM: ref}))
    answer = await export(rig, "image", elsewhere, single(ref))
    manifest = checked(rig.store.blobs, answer["containerimage.digest"])
    assert "annotations" not in json.loads(manifest)
    await ref.release()


async def test_attested_names_that_can_not_be(rig: Rig) -> None:
    source = single(None, rows=0, attestations=(Attestation("x", b"{}"),))
    with pytest.raises(InvalidRequest) as caught:
        await export(rig, "image", {"name": "UPPER"}, source)
    assert str(caught.value).startswith('failed to parse ref "UPPER": invalid reference format')
