"""Attributes of cache exporters."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
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
    with pytest.raises(InvalidRequest, match="OCI mediatypes are required"):
        one(oci_mediatypes="false", image_manifest="true")


def test_what_is_said_counts() -> None:
    options = one(mode="max", compression="zstd", force_compression="true", ignore_error="true")
    assert (options.mode, options.compression.type) == ("max", "zstd")
    assert options.compression.force
    assert options.ignore_error


def test_unknown_kinds_and_missing_attributes() -> None:
    with pytest.raises(InvalidRequest, match='unknown cache exporter: "floppy"'):
        parse_exports([("floppy", {})])
    with pytest.raises(InvalidRequest, match="failed to configure local cache exporter: local"):
        parse_exports([("local", {})])
    with pytest.raises(InvalidRequest, match="failed to configure registry cache exporter: miss"):
        parse_exports([("registry", {})])


def test_duplicates() -> None:
    assert parse_exports([("inline", {}), ("inline", {})]).inline
    with pytest.raises(InvalidRequest, match=r"duplicate cache exports \[registry\]"):
        parse_exports([("registry", {"ref": "a/b"}), ("registry", {"ref": "a/b", "mode": "max"})])
    with pytest.raises(InvalidRequest, match=r"duplicate cache exports \[local\]"):
        parse_exports([("local", {"dest": "x"}), ("local", {"dest": "x"})])
    assert len(parse_exports([("local", {"dest": "x"}), ("local", {"dest": "y"})]).others) == 2
