from __future__ import annotations

import json

import pytest

from croze.errors import InvalidRequest, Unsupported
from croze.gotypes.gojson import MOST_PARTS
from croze.image import config, manifest, platform
from croze.image import descriptor as media
from croze.image.annotations import parse_attrs, parse_key, select
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index, Manifest

NONE, SMALL, ARM, AMD = ("sha256:" + digit * 64 for digit in "1234")


def entry(where: str | None, digest: str) -> Descriptor:
    return Descriptor(
        media.OCI_MANIFEST, digest, 1, platform=platform.parse(where) if where else None
    )


def test_manifest_bytes() -> None:
    value = Manifest(
        media_type=media.OCI_MANIFEST,
        config=Descriptor(media.OCI_CONFIG, "sha256:" + "c" * 64, 3),
        layers=(
            Descriptor(
                media.OCI_LAYER_GZIP, "sha256:" + "1" * 64, 4, annotations={"b": "1", "a": "2"}
            ),
        ),
    )
    data = manifest.marshal(value)
    assert data.startswith(b'{\n  "schemaVersion": 2,\n  "mediaType": "application/vnd.oci.image.')
    assert data.index(b'"a": "2"') < data.index(b'"b": "1"')
    assert manifest.parse_manifest(data) == value
    assert b'"layers": null' in manifest.marshal(Manifest(config=value.config, layers=None))


def test_candidates_are_ranked_and_filtered() -> None:
    index = Index(
        manifests=(
            entry(None, NONE),
            entry("linux/386", SMALL),
            entry("linux/arm64", ARM),
            entry("linux/amd64", AMD),
        )
    )
    found = manifest.candidates(index, platform.only(platform.parse("linux/amd64")))
    assert [each.digest for each in found] == [AMD, SMALL, NONE]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b'{"mediaType":"%s","manifests":[]}' % media.OCI_INDEX.encode(), media.OCI_INDEX),
        (b'{"manifests":[]}', media.DOCKER_INDEX),
        (b'{"config":{},"layers":[]}', media.DOCKER_MANIFEST),
        (b'{"mediaType":"%s","config":{}}' % media.OCI_MANIFEST.encode(), media.OCI_MANIFEST),
    ],
)
def test_media_types_are_seen_in_the_bytes(data: bytes, kind: str) -> None:
    assert manifest.detect_media_type(data) == kind


HOSTILE = [
    "",
    "sha256:",
    "sha256:../../../../etc/passwd",
    "sha256:" + "a" * 63 + "/",
    "sha256:" + "a" * 64 + "\n",
    "sha256:" + "A" * 64,
    "../" * 20 + "etc:passwd",
    "sha256:" + "a" * 64 + "/../x",
    "md5:" + "a" * 32,
]


@pytest.mark.parametrize("digest", HOSTILE)
def test_a_digest_is_one(digest: str) -> None:
    """It becomes part of URLs and paths: whoever gives a descriptor can't lead astray."""
    with pytest.raises(InvalidRequest, match="digest"):
        Descriptor(media.OCI_LAYER, digest, 1)
    text = json.dumps({"config": {"mediaType": "x", "digest": digest, "size": 1}, "layers": []})
    with pytest.raises(InvalidRequest, match="digest"):
        manifest.parse_manifest(text.encode())
    text = json.dumps({"manifests": [{"mediaType": "x", "digest": digest, "size": 1}]})
    with pytest.raises(InvalidRequest, match="digest"):
        manifest.parse_index(text.encode())


def test_what_could_be_two_things_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="ambiguous"):
        manifest.detect_media_type(b'{"config":{},"manifests":[]}')
    with pytest.raises(InvalidRequest, match="does not match"):
        manifest.detect_media_type(b'{"mediaType":"%s","config":{}}' % media.OCI_INDEX.encode())


def test_more_parts_than_anybody_means() -> None:
    """They would be read where all others wait."""
    data = b'{"layers": [' + b"{}," * MOST_PARTS + b"{}]}"
    for read in (manifest.parse_manifest, manifest.detect_media_type, config.parse):
        with pytest.raises(InvalidRequest, match=f"more than {MOST_PARTS} parts"):
            read(data)


def test_numbers_longer_than_anybody_means() -> None:
    """Thousands of them take as long as many parts."""
    data = b'{"layers": [{"size": %b}]}' % (b"9" * 1000)
    for read in (manifest.parse_manifest, manifest.detect_media_type, config.parse):
        with pytest.raises(InvalidRequest, match="a number of more than 1000 digits"):
            read(data)


def test_schema_1_is_refused() -> None:
    with pytest.raises(Unsupported, match="schema 1 has been removed"):
        manifest.check_supported("application/vnd.docker.distribution.manifest.v1+prettyjws")
    with pytest.raises(InvalidRequest, match="encountered unknown type"):
        manifest.check_supported("text/html")


def test_annotation_keys() -> None:
    wanted, rest = parse_attrs(
        {
            "annotation.a": "all",
            "annotation[linux/arm64].a": "arm",
            "annotation-index.b": "idx",
            "annotation-manifest-descriptor[linux/amd64].c.d": "x",
            "name": "n",
        }
    )
    assert rest == {"name": "n"}
    arm = select(wanted, platform.parse("linux/arm64"))
    assert arm.manifest == {"a": "arm"}
    assert arm.index == {"b": "idx"}
    amd = select(wanted, platform.parse("linux/amd64"))
    assert amd.manifest == {"a": "all"}
    assert amd.manifest_descriptor == {"c.d": "x"}
    assert str(parse_key("annotation[linux/amd64].k")) == ("annotation-manifest[linux/amd64].k")


def test_unknown_annotation_types() -> None:
    with pytest.raises(InvalidRequest, match="unrecognized annotation type nope"):
        parse_key("annotation-nope.k")
