"""Images as an older BuildKit would have made them, and what an exporter's attributes say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from croze import compatibility
from croze.errors import CompatibilityDetail, InvalidRequest
from croze.export.contract import Attestation, ExportSource
from tests.export.results import AMD, checked, export, make_ref, several, single
from tests.sources.rig import Rig

pytestmark = pytest.mark.root

OCI = "application/vnd.oci.image."
DOCKER = "application/vnd.docker.distribution."
OLD = (compatibility.BUILDKIT_0_13, compatibility.BUILDKIT_0_15)
TOLD = Attestation("https://spdx.dev/Document", b"{}")


async def exported(
    rig: Rig, source: ExportSource, attrs: Mapping[str, str], version: int
) -> dict[str, Any]:
    answer = await export(rig, "image", {"name": "x", **attrs}, source, version=version)
    found: dict[str, Any] = json.loads(checked(rig.store.blobs, answer["containerimage.digest"]))
    return found


@pytest.mark.parametrize("version", OLD)
async def test_old_images_have_dockers_media_types(rig: Rig, version: int) -> None:
    ref = await make_ref(rig, {"a": "one"})
    manifest = await exported(rig, single(ref), {}, version)
    assert manifest["mediaType"] == DOCKER + "manifest.v2+json"
    layer = manifest["layers"][0]
    assert layer["mediaType"] == "application/vnd.docker.image.rootfs.diff.tar.gzip"
    asked = await exported(rig, single(ref), {"oci-mediatypes": "true"}, version)
    assert asked["mediaType"] == OCI + "manifest.v1+json"
    index = await exported(rig, several({AMD: ref}), {}, version)
    assert index["mediaType"] == DOCKER + "manifest.list.v2+json"
    await ref.release()


@pytest.mark.parametrize("version", OLD)
async def test_old_attestations_are_images(rig: Rig, version: int) -> None:
    index = await exported(rig, single(None, attestations=(TOLD,)), {}, version)
    assert index["mediaType"] == OCI + "index.v1+json"
    entry = index["manifests"][1]["digest"]
    manifest = json.loads(checked(rig.store.blobs, entry))
    assert "artifactType" not in manifest
    assert manifest["config"]["mediaType"] == OCI + "config.v1+json"


async def test_before_zstd(rig: Rig) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await exported(rig, single(None), {"compression": "zstd"}, 10)
    feature = "image exporter compression=zstd"
    assert str(caught.value) == f"unsupported compatibility-version 10 feature {feature}"
    assert caught.value.details == (CompatibilityDetail(10, feature),)
    await exported(rig, single(None), {"compression": "zstd"}, 20)


async def test_what_was_left_open_is_checked_too(rig: Rig) -> None:
    with pytest.raises(InvalidRequest, match='"oci-artifact=true" conflicts with "oci-mediatypes'):
        await exported(rig, single(None), {"oci-artifact": "true"}, 20)
    await exported(rig, single(None), {"oci-artifact": "true"}, 30)


async def test_an_exporters_attribute_gives_the_config(rig: Rig) -> None:
    config = {"architecture": "arm64", "os": "linux", "config": {"Cmd": ["/said"]}}
    attrs = {"containerimage.config": json.dumps(config)}
    made = await exported(rig, single(None), attrs, compatibility.CURRENT)
    found = json.loads(checked(rig.store.blobs, made["config"]["digest"]))
    assert found["architecture"] == "arm64"
    assert found["config"] == {"Cmd": ["/said"]}


async def test_an_attribute_for_one_platform_goes_first(rig: Rig) -> None:
    config = {"architecture": "amd64", "os": "linux", "author": "one"}
    attrs = {
        "containerimage.config": json.dumps({**config, "author": "any"}),
        "containerimage.config/linux/amd64": json.dumps(config),
    }
    for source in (single(None), several({AMD: await make_ref(rig, {"a": "b"})})):
        made = await exported(rig, source, attrs, compatibility.CURRENT)
        if "manifests" in made:
            entry = made["manifests"][0]["digest"]
            made = json.loads(checked(rig.store.blobs, entry))
        found = json.loads(checked(rig.store.blobs, made["config"]["digest"]))
        assert found["author"] == "one"
    for result in source.results:
        if result.ref is not None:
            await result.ref.release()
