"""Attributes of cache exporters."""

from __future__ import annotations

import json

import pytest

from croze.errors import InvalidRequest
from croze.image import descriptor as media
from croze.image.descriptor import Descriptor
from croze.remotecache import manifests
from croze.remotecache.options import ExportOptions, parse_exports


def one(**attrs: str) -> ExportOptions:
    found = {key.replace("_", "-"): value for key, value in attrs.items()}
    return parse_exports([("registry", {"ref": "host/app:cache", **found})]).others[0]


def test_defaults() -> None:
    options = one()
    assert (options.mode, options.image_manifest, options.oci) == ("min", True, True)
    assert (options.compression.type, options.ignore_error) == ("gzip", False)
    assert str(options.ref) == "docker.io/host/app:cache"


def test_docker_types_need_an_index() -> None:
    assert one(oci_mediatypes="false").image_manifest is False
    assert one(oci_mediatypes="false", image_manifest="true").image_manifest is True
    with pytest.raises(InvalidRequest, match="OCI mediatypes are required"):
        manifests.check_types(image_manifest=True, oci=False)


@pytest.mark.parametrize("oci", [True, False])
def test_layers_are_of_the_manifests_types(oci: bool) -> None:
    """Whosever they were."""
    layers = [
        Descriptor(kind, f"sha256:{'a' * 64}", 1)
        for kind in (media.OCI_LAYER_GZIP, media.DOCKER_LAYER_GZIP)
    ]
    config = manifests.describe_config(b"{}")
    for image_manifest in (False, oci):
        _, data = manifests.build(config, layers, image_manifest=image_manifest, oci=oci)
        listed = json.loads(data)["layers" if image_manifest else "manifests"]
        kinds = [each["mediaType"] for each in listed if each["digest"] != config.digest]
        assert kinds == [media.OCI_LAYER_GZIP if oci else media.DOCKER_LAYER_GZIP] * 2


def test_what_is_said_counts() -> None:
    options = one(mode="max", compression="zstd", force_compression="true", ignore_error="true")
    assert (options.mode, options.compression.type) == ("max", "zstd")
    assert options.compression.force
    assert options.ignore_error


@pytest.mark.parametrize(
    ("text", "ignored"), [("1", True), ("t", True), ("tRUE", False), ("", False)]
)
def test_errors_are_ignored_where_go_reads_true(text: str, ignored: bool) -> None:
    assert one(ignore_error=text).ignore_error is ignored


@pytest.mark.parametrize(
    ("kind", "attrs", "message"),
    [
        ("registry", {"compression": "x", "ref": "", "oci-mediatypes": "y"}, "unsupported comp"),
        ("registry", {"ref": "", "oci-mediatypes": "y"}, "missing ref"),
        ("local", {"compression": "x"}, "local cache exporter requires dest"),
        (
            "local",
            {"dest": "d", "image-manifest": 'a"', "mode": "max"},
            'failed to parse image-manifest: strconv.ParseBool: parsing "a\\"": invalid syntax',
        ),
    ],
)
def test_of_several_faults_the_one_that_buildkit_sees_first(
    kind: str, attrs: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_exports([(kind, attrs)])
    assert str(caught.value).startswith(f"failed to configure {kind} cache exporter: {message}")


def test_unknown_kinds_and_missing_attributes() -> None:
    with pytest.raises(InvalidRequest, match='unknown cache exporter: "floppy"'):
        parse_exports([("floppy", {})])
    with pytest.raises(InvalidRequest, match="failed to configure local cache exporter: local"):
        parse_exports([("local", {})])
    with pytest.raises(InvalidRequest, match="failed to configure registry cache exporter: miss"):
        parse_exports([("registry", {})])


TOKEN = "x.eyJhYyI6IFtdfQ.y"
"""Its claim `ac` is a list."""


@pytest.mark.parametrize(
    ("kind", "attrs", "message"),
    [
        ("s3", {"region": "r"}, "bucket ($AWS_BUCKET) not set for s3 cache"),
        ("s3", {"bucket": "b"}, "region ($AWS_REGION) not set for s3 cache"),
        (
            "s3",
            {"bucket": "b", "region": "r", "upload_parallelism": "0"},
            "upload_parallelism must be a positive integer",
        ),
        (
            "s3",
            {"bucket": "b", "region": "r", "retry_max_attempts": "x"},
            "retry_max_attempts must be a positive integer",
        ),
        (
            "s3",
            {"bucket": "b", "region": "r", "retry_mode": "legacy"},
            'retry_mode must be "standard" or "adaptive"',
        ),
        (
            "azblob",
            {},
            "failed to create azblob config: either ${BUILDKIT_AZURE_STORAGE_ACCOUNT_URL} or "
            "account_url attribute is required for azblob cache",
        ),
        ("gha", {"url": "http://x"}, "token not set for github actions cache"),
        ("gha", {"token": "t"}, "url not set for github actions cache"),
        (
            "gha",
            {"token": "t", "url": "http://x", "version": "two"},
            'failed to parse api version "two", expected positive integer: strconv.ParseInt: '
            'parsing "two": invalid syntax',
        ),
        (
            "gha",
            {"token": TOKEN, "url": "http://x"},
            "invalid token with access controls type list",
        ),
    ],
)
def test_caches_in_object_storage(
    monkeypatch: pytest.MonkeyPatch, kind: str, attrs: dict[str, str], message: str
) -> None:
    for name in ("AWS_BUCKET", "AWS_REGION", "BUILDKIT_AZURE_STORAGE_ACCOUNT_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidRequest) as caught:
        parse_exports([(kind, attrs)])
    assert str(caught.value) == f"failed to configure {kind} cache exporter: {message}"


def test_duplicates() -> None:
    assert parse_exports([("inline", {}), ("inline", {})]).inline
    with pytest.raises(InvalidRequest, match=r"duplicate cache exports \[registry\]"):
        parse_exports([("registry", {"ref": "a/b"}), ("registry", {"ref": "a/b", "mode": "max"})])
    with pytest.raises(InvalidRequest, match=r"duplicate cache exports \[local\]"):
        parse_exports([("local", {"dest": "x"}), ("local", {"dest": "x"})])
    assert len(parse_exports([("local", {"dest": "x"}), ("local", {"dest": "y"})]).others) == 2
