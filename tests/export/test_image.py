"""`type=image`: the local image store and registries."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.digests import digest_of
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.export.contract import Attestation
from croze.export.open import open_exporter
from croze.image import reference
from croze.registry import pull
from croze.registry.credentials import Anonymous
from croze.sources.image import ImageSources
from croze.sources.request import SourceRequest
from croze.store.contract import Compression
from tests.export.results import (
    AMD,
    ARM,
    checked,
    config_of,
    descriptor,
    export,
    make_ref,
    services,
    several,
    single,
    validate_image,
)
from tests.registry.blobs import Folder
from tests.sources.rig import Rig, add_image
from tests.sources.uploads import upload
from tests.support.waiting import free_port

pytestmark = pytest.mark.root


async def test_into_the_local_store(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"}, {"b": "two"})
    answer = await export(
        rig, "image", {"name": "docker.io/library/app:1,x.io/b"}, single(ref, rows=2)
    )
    digest = answer["containerimage.digest"]
    blobs = rig.store.blobs
    assert validate_image(blobs, digest) == [{"a": b"one"}, {"b": b"two"}]
    manifest = json.loads(checked(blobs, digest))
    assert manifest["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert all("annotations" not in layer for layer in manifest["layers"])
    assert answer["containerimage.config.digest"] == manifest["config"]["digest"]
    assert answer["image.name"] == "docker.io/library/app:1,x.io/b"
    assert descriptor(answer) == {
        "mediaType": manifest["mediaType"],
        "digest": digest,
        "size": blobs.size(digest),
        "platform": {"architecture": "amd64", "os": "linux"},
    }
    names = [record.name for record in rig.store.images.list()]
    assert names == ["docker.io/library/app:1", "x.io/b:latest"]
    config = json.loads(checked(blobs, manifest["config"]["digest"]))
    assert all(row["created"] for row in config["history"])
    assert {
        "exporting layers",
        f"exporting manifest {digest}",
        f"exporting config {manifest['config']['digest']}",
        "naming to docker.io/library/app:1",
    } <= set(rig.progress.statuses)
    again = await export(rig, "image", {"name": "docker.io/library/app:1"}, single(ref, rows=2))
    assert again["containerimage.digest"] == digest
    await ref.release()


async def test_nothing_at_all(rig: Rig) -> None:
    answer = await export(rig, "image", {"name": "x.io/empty"}, single(None, rows=0))
    assert validate_image(rig.store.blobs, answer["containerimage.digest"]) == []


async def test_rows_that_the_frontend_did_not_write(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "1"}, {"b": "2"}, {"c": "3"})
    answer = await export(rig, "image", {}, single(ref, rows=1))
    blobs = rig.store.blobs
    manifest = json.loads(checked(blobs, answer["containerimage.digest"]))
    config = json.loads(checked(blobs, manifest["config"]["digest"]))
    assert [row["created_by"] for row in config["history"]] == ["RUN 0", "step 1", "step 2"]
    await ref.release()


async def test_pushing(rig: Rig, host: str) -> None:
    ref = await make_ref(rig, {"a": "one"})
    attrs = {"name": f"{host}/pushed:1,{host}/pushed:2", "push": "true"}
    answer = await export(rig, "image", attrs, single(ref))
    digest = answer["containerimage.digest"]
    for tag in ("1", "2"):
        repo = rig.registry.repository(reference.parse(f"{host}/pushed:{tag}"), Anonymous())
        assert (await pull.resolve(repo)).digest == digest
    assert rig.store.images.list() == []
    assert f"pushing manifest for {host}/pushed:1@{digest}" in rig.progress.statuses
    await ref.release()


async def test_pushing_by_digest(rig: Rig, host: str) -> None:
    ref = await make_ref(rig, {"a": "by digest"})
    attrs = {"name": f"{host}/bydigest", "push": "true", "push-by-digest": "true"}
    digest = (await export(rig, "image", attrs, single(ref)))["containerimage.digest"]
    found = rig.registry.repository(reference.parse(f"{host}/bydigest@{digest}"), Anonymous())
    assert (await pull.resolve(found)).digest == digest
    with pytest.raises(NotFound):
        await pull.resolve(
            rig.registry.repository(reference.parse(f"{host}/bydigest"), Anonymous())
        )
    attrs["name"] += ":tag"
    name = attrs["name"]
    with pytest.raises(InvalidRequest) as caught:
        await export(rig, "image", attrs, single(ref))
    assert str(caught.value) == f"failed to push {name}: can't push tagged ref {name} by digest"
    await ref.release()


async def test_a_push_that_fails(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    name = f"127.0.0.1:{free_port()}/x"
    with pytest.raises(CrozeError) as caught:
        await export(rig, "image", {"name": name, "push": "true"}, single(ref))
    assert str(caught.value).startswith(f"failed to push {name}: failed to do request: Head ")
    await ref.release()


async def test_lazy_layers_are_linked_and_not_fetched(rig: Rig, host: str, content: Folder) -> None:
    base = add_image(content, {"base": b"lazy" * 1000})
    await upload(rig.registry, f"{host}/base:1", base, content)
    sources = ImageSources(rig.images, rig.store.refs)
    source = sources.open(SourceRequest(f"docker-image://{host}/base:1", {}, AMD))
    ref = await source.snapshot(rig.source_context())
    assert ref is not None
    layer = json.loads(content.read(base.digest))["layers"][0]["digest"]
    await export(rig, "image", {"name": f"{host}/derived:1", "push": "true"}, single(ref))
    assert not rig.store.blobs.has(layer)
    assert (
        await pull.resolve(
            rig.registry.repository(reference.parse(f"{host}/derived:1"), Anonymous())
        )
    ).size
    answer = await export(rig, "image", {"name": "x.io/stored"}, single(ref))
    assert rig.store.blobs.has(layer)
    assert validate_image(rig.store.blobs, answer["containerimage.digest"])
    await ref.release()


async def test_several_platforms(rig: Rig, host: str) -> None:
    refs = {
        AMD: await make_ref(rig, {"a": "amd"}),
        ARM: await make_ref(rig, {"a": "arm"}),
    }
    attrs = {
        "name": f"{host}/multi:1",
        "push": "",
        "annotation-index.i": "1",
        "annotation-index-descriptor.d": "2",
        "annotation.all": "x",
        "annotation[linux/arm64].arm": "y",
        "annotation-manifest-descriptor[linux/amd64].md": "z",
    }
    answer = await export(rig, "image", attrs, several(refs))
    blobs = rig.store.blobs
    index = json.loads(checked(blobs, answer["containerimage.digest"]))
    assert index["annotations"] == {"i": "1"}
    assert descriptor(answer)["annotations"] == {"d": "2"}
    assert "containerimage.config.digest" not in answer
    amd, arm = index["manifests"]
    assert (amd["platform"]["architecture"], amd["annotations"]) == ("amd64", {"md": "z"})
    assert json.loads(checked(blobs, amd["digest"]))["annotations"] == {"all": "x"}
    assert json.loads(checked(blobs, arm["digest"]))["annotations"] == {"all": "x", "arm": "y"}
    assert validate_image(blobs, arm["digest"]) == [{"a": b"arm"}]
    repo = rig.registry.repository(reference.parse(f"{host}/multi:1"), Anonymous())
    assert (await pull.resolve(repo)).digest == answer["containerimage.digest"]
    for ref in refs.values():
        await ref.release()


async def test_attestations(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    told = Attestation("https://slsa.dev/provenance/v1", b'{"z": 1, "a": "<x>"}')
    source = single(ref, attestations=(told,))
    answer = await export(rig, "image", {"name": "x.io/app:1"}, source)
    blobs = rig.store.blobs
    image, attested = json.loads(checked(blobs, answer["containerimage.digest"]))["manifests"]
    assert attested["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert attested["annotations"]["vnd.docker.reference.digest"] == image["digest"]
    manifest = json.loads(checked(blobs, attested["digest"]))
    assert manifest["subject"]["digest"] == image["digest"]
    assert manifest["artifactType"].startswith("application/vnd.docker.attestation")
    statement = checked(blobs, manifest["layers"][0]["digest"])
    assert statement == (
        b'{"_type":"https://in-toto.io/Statement/v1",'
        b'"predicateType":"https://slsa.dev/provenance/v1","subject":[{"name":'
        b'"pkg:docker/x.io/app@1?platform=linux%2Famd64","digest":{"sha256":"'
        + image["digest"][7:].encode()
        + b'"}}],"predicate":{"z":1,"a":"\\u003cx\\u003e"}}'
    )
    plain = await export(rig, "image", {"oci-artifact": "false"}, source)
    attested = json.loads(checked(blobs, plain["containerimage.digest"]))["manifests"][1]
    manifest = json.loads(checked(blobs, attested["digest"]))
    config = json.loads(checked(blobs, manifest["config"]["digest"]))
    assert "subject" not in manifest
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    await ref.release()


async def test_an_attestation_in_a_file(rig: Rig) -> None:
    ref = await make_ref(rig, {"out/sbom.json": "{}", "out/link": ""})
    good = Attestation("https://spdx.dev/Document", ref=ref, path="out/sbom.json")
    assert await export(rig, "image", {}, single(ref, attestations=(good,)))
    bad = Attestation("https://spdx.dev/Document", ref=ref, path="../../../etc/passwd")
    with pytest.raises(InvalidRequest, match="leaves the attestation's directory"):
        await export(rig, "image", {}, single(ref, attestations=(bad,)))
    await ref.release()


async def test_docker_types(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    answer = await export(rig, "image", {"oci-mediatypes": "false"}, single(ref))
    manifest = json.loads(checked(rig.store.blobs, answer["containerimage.digest"]))
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert manifest["config"]["mediaType"] == "application/vnd.docker.container.image.v1+json"
    layer = manifest["layers"][0]["mediaType"]
    assert layer == "application/vnd.docker.image.rootfs.diff.tar.gzip"
    await ref.release()


async def test_compression(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    await export(rig, "image", {}, single(ref))
    for kind, ending in (("uncompressed", "tar"), ("zstd", "+zstd")):
        attrs = {"compression": kind, "force-compression": "true", "compression-level": "3"}
        answer = await export(rig, "image", attrs, single(ref))
        manifest = json.loads(checked(rig.store.blobs, answer["containerimage.digest"]))
        assert manifest["layers"][0]["mediaType"].endswith(ending)
    await ref.release()


async def test_estargz(rig: Rig) -> None:
    """Its table of contents is in the diff ID, comes with annotations, and goes with both."""
    ref = await make_ref(rig, {"a": "one"})
    told = []
    for kind in ("estargz", "gzip", "estargz"):
        attrs = {"compression": kind, "force-compression": "true"}
        answer = await export(rig, "image", attrs, single(ref))
        digest = answer["containerimage.digest"]
        validate_image(rig.store.blobs, digest)
        manifest = json.loads(checked(rig.store.blobs, digest))
        config = json.loads(checked(rig.store.blobs, manifest["config"]["digest"]))
        told.append((manifest["layers"][0], config["rootfs"]["diff_ids"][0]))
    assert told[0] == told[2]
    assert sorted(told[0][0]["annotations"]) == [
        "containerd.io/snapshot/stargz/toc.digest",
        "io.containers.estargz.uncompressed-size",
    ]
    assert "annotations" not in told[1][0]
    assert told[0][1] != told[1][1]
    rewrite = {"source-date-epoch": "1600000050", "rewrite-timestamp": "true"}
    answer = await export(rig, "image", {"compression": "estargz", **rewrite}, single(ref))
    validate_image(rig.store.blobs, answer["containerimage.digest"])
    manifest = json.loads(checked(rig.store.blobs, answer["containerimage.digest"]))
    notes = manifest["layers"][0]["annotations"]
    assert notes.keys() == {*told[0][0]["annotations"], "buildkit/rewritten-timestamp"}
    assert notes != told[0][0]["annotations"] | {"buildkit/rewritten-timestamp": "1600000050"}
    await ref.release()


async def test_layers_of_the_base_keep_their_times_as_estargz(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"}, {"b": "two"}, {"c": "three"})
    plain = [layer.diff_id for layer in await ref.layers(Compression())]
    base = json.loads(config_of(AMD, 2)) | {
        "rootfs": {"type": "layers", "diff_ids": plain[:2]},
    }
    metadata = {"containerimage.base.config": json.dumps(base).encode()}
    attrs = {"source-date-epoch": "1600000050", "rewrite-timestamp": "true"}
    for kind in ("gzip", "estargz"):
        wanted = {**attrs, "compression": kind, "force-compression": "true"}
        source = single(ref, rows=3, metadata=metadata)
        answer = await export(rig, "image", wanted, source)
        manifest = json.loads(checked(rig.store.blobs, answer["containerimage.digest"]))
        notes = [layer.get("annotations", {}) for layer in manifest["layers"]]
        assert ["buildkit/rewritten-timestamp" in each for each in notes] == [False, False, True]
    await ref.release()


async def test_rewritten_times_are_reproducible(rig: Rig) -> None:
    digests = set()
    for _ in range(2):
        ref = await make_ref(rig, {"a": "one"})
        attrs = {"source-date-epoch": "1600000050", "rewrite-timestamp": "true"}
        answer = await export(rig, "image", attrs, single(ref))
        digests.add(answer["containerimage.digest"])
        validate_image(rig.store.blobs, answer["containerimage.digest"])
        await ref.release()
    assert len(digests) == 1
    manifest = json.loads(checked(rig.store.blobs, digests.pop()))
    assert manifest["layers"][0]["annotations"] == {"buildkit/rewritten-timestamp": "1600000050"}
    config = json.loads(checked(rig.store.blobs, manifest["config"]["digest"]))
    assert config["created"] == config["history"][0]["created"] == "2020-09-13T12:27:30Z"


async def test_names_as_a_docker_engine_has_them(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    answer = await export(rig, "moby", {"name": "a,library/a:latest,x.io/b:1"}, single(ref))
    assert answer["image.name"] == "docker.io/library/a:latest,x.io/b:1"
    for name, words in (
        ("a@sha256:" + "0" * 64, "build tag cannot contain a digest"),
        ("A", "invalid image name A: invalid reference format"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            await export(rig, "moby", {"name": name}, single(ref))
    await ref.release()


async def test_dangling_and_canonical_names(rig: Rig) -> None:
    ref = await make_ref(rig, {"a": "one"})
    answer = await export(rig, "image", {"dangling-name-prefix": "moby"}, single(ref))
    digest = answer["containerimage.digest"]
    assert answer["image.name"] == f"moby@{digest}"
    attrs = {"name": "x.io/a:1", "name-canonical": ""}
    await export(rig, "image", attrs, single(ref))
    names = [record.name for record in rig.store.images.list()]
    assert names == [f"docker.io/library/moby@{digest}", "x.io/a:1", f"x.io/a:1@{digest}"]
    await ref.release()


async def test_a_name_from_the_frontend(rig: Rig) -> None:
    source = single(None, rows=0, metadata={"image.name": b"x.io/given:1"})
    answer = await export(rig, "image", {"name": "*"}, source)
    assert answer["image.name"] == "x.io/given:1"


@pytest.mark.parametrize("metadata", [{}, {"image.name": b""}])
async def test_no_name_from_the_frontend_is_none(rig: Rig, metadata: dict[str, bytes]) -> None:
    answer = await export(rig, "image", {"name": "*"}, single(None, rows=0, metadata=metadata))
    assert answer["image.name"] == "*"
    assert rig.store.images.list() == []


@pytest.mark.parametrize("name", ["UPPER:x", "a b", "x.io/a:1,*b"])
async def test_what_is_no_name_is_refused(rig: Rig, name: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid image name"):
        await export(rig, "image", {"name": name}, single(None, rows=0))


@pytest.mark.parametrize(
    ("attrs", "message"),
    [
        (
            {"push": "maybe"},
            'non-bool value specified for push: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        ({"compression": "lzma"}, "unsupported compression type lzma"),
        (
            {"compression": "nydus"},
            "unsupported compression type nydus: only a snapshotter of its own can read it; "
            "layers read on demand are estargz here",
        ),
        (
            {"compression": "estargz", "oci-mediatypes": "false"},
            'exporter option "compression=estargz" conflicts with "oci-mediatypes=false"',
        ),
        (
            {"name": "a", "unpack": "true", "rewrite-timestamp": "true"},
            'exporter option "rewrite-timestamp" conflicts with "unpack"',
        ),
        ({"annotation-x.y": "z"}, "unrecognized annotation type x"),
    ],
)
async def test_bad_attributes(rig: Rig, attrs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        open_exporter("image", attrs, services(rig))
    assert str(caught.value) == message


@pytest.mark.parametrize("attrs", [{}, {"name": "a", "store": "false"}])
async def test_what_is_not_stored_is_not_unpacked(rig: Rig, attrs: dict[str, str]) -> None:
    attrs = {"unpack": "true", "rewrite-timestamp": "true", **attrs}
    answer = await export(rig, "image", attrs, single(None, rows=0))
    assert validate_image(rig.store.blobs, answer["containerimage.digest"]) == []


async def test_unknown_types(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match='exporter "floppy" could not be found'):
        open_exporter("floppy", {}, services(rig))
    assert digest_of(b"")
