"""Bundles of build records: what they may hold, and what never leaves the machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from croze.api import control_pb2
from croze.client.records.bundles import jaeger, record, spans
from croze.client.records.bundles.read import RecordBundle
from croze.client.records.bundles.record import BundledGroup, BundledState, Remembered
from croze.errors import InvalidRequest
from tests.client.records.bundled import described, tar_of

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
RECORD = b'{"Ref":"r1","DefaultPlatform":"linux/amd64"}'


def _files(config: bytes, *layers: bytes, kind: str = record.MEDIA_TYPE) -> dict[str, bytes]:
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described(config, kind),
        "layers": [described(layer, "application/x") for layer in layers],
    }
    data = json.dumps(manifest).encode()
    index = {"schemaVersion": 2, "manifests": [described(data, MANIFEST)]}
    blobs = {f"blobs/sha256/{hashlib.sha256(x).hexdigest()}": x for x in (data, config, *layers)}
    return {**blobs, "index.json": json.dumps(index).encode()}


def test_a_bundle_is_read(tmp_path: Path) -> None:
    bundle = RecordBundle(tar_of(_files(RECORD, b"log")), tmp_path)
    (one,) = bundle.records()
    assert one.record.Ref == "r1"
    assert one.local.platform == "linux/amd64"
    assert [bundle.path(blob.digest).read_bytes() for blob in one.blobs] == [b"log"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"../evil": b"x"}, "../evil is nothing that a bundle has"),
        ({"blobs/sha256/" + "0" * 64: b"x"}, "is not what its digest says"),
        ({"index.json": b"{}"}, "no build records found in the bundle"),
        ({"index.json": b"["}, "truncated"),
        ({"index.json": b"[" * 100_000}, "."),
        (_files(b'{"Ref":' + b"[" * 100_000), "not a build record"),
        (_files(RECORD, kind="application/x"), "is not the manifest of a build record"),
        (_files(b"[]"), "not a build record"),
        (_files(b'{"Ref":"r1","DefaultPlatform":"","Added":1}'), "unknown field `Added`"),
        (_files(b'{"Ref":1,"DefaultPlatform":""}'), "Expected `str`, got `int`"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, change: dict[str, bytes], why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        list(RecordBundle(tar_of({**_files(RECORD), **change}), tmp_path).records())
    assert {path.parent for path in tmp_path.rglob("*")} <= {tmp_path}


@pytest.mark.parametrize("data", [b"", b"no archive", gzip.compress(b"x" * 600), b"\x1f\x8b\x08"])
def test_what_is_no_archive_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidRequest, match="not a bundle of build records"):
        RecordBundle(io.BytesIO(data), tmp_path)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    head = tarfile.TarInfo("pax")
    head.type, head.size = tarfile.XHDTYPE, 64 << 20
    data = gzip.compress(head.tobuf(tarfile.USTAR_FORMAT) + bytes(64 << 20), 1)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match="not a bundle of build records"):
            RecordBundle(io.BytesIO(data), tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_blob_that_lacks_is_told(tmp_path: Path) -> None:
    files = _files(RECORD, b"log")
    del files[f"blobs/sha256/{hashlib.sha256(b'log').hexdigest()}"]
    with pytest.raises(InvalidRequest, match="the bundle lacks sha256:"):
        list(RecordBundle(tar_of(files), tmp_path).records())


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croze.client.records.bundles.read.LARGEST_BYTES", 1000)
    with pytest.raises(InvalidRequest, match="a bundle may hold"):
        RecordBundle(tar_of(_files(RECORD, b"x" * 1001)), tmp_path)


def test_records_come_back_as_they_were() -> None:
    told = control_pb2.BuildHistoryRecord(Ref="r", Generation=2, numWarnings=1, pinned=True)
    told.FrontendAttrs.add(key=b"target", value=b"<a&b>")
    told.Exporters.add(Type="image").Attrs.add(key=b"push", value=b"true")
    told.error.code, told.error.message = 2, "no"
    told.error.details.add(type_url="x", value=b"\0\1")
    told.CreatedAt.seconds, told.CreatedAt.nanos = 5, 6
    told.logs.digest, told.logs.size = "sha256:1", 7
    told.Results["linux/amd64"].Attestations.add(media_type="m", annotations={"k": "v"})
    told.Result.Results[0].digest = "sha256:2"
    told.Result.ResultDeprecated.digest = "sha256:2"
    local = Remembered(
        "linux/arm64", BundledState("t", "/c", "/c/D", "g"), BundledGroup(["t"], ["r"])
    )
    data = record.encoded(told, local)
    assert b'"target": "\\u003ca\\u0026b\\u003e"' in data
    assert record.decoded(data) == (told, local)


def test_keys_of_caches_stay_here() -> None:
    imports = [{"Type": "s3", "Attrs": {"ref": "r", "scope": "s", "secret_access_key": "k"}}]
    attrs = {"cache-imports": json.dumps(imports), "target": "t"}
    told = '[{"Type":"s3","Attrs":{"ref":"r","scope":"s"}}]'
    assert record.without_secrets(attrs) == {"cache-imports": told, "target": "t"}
    assert record.without_secrets({"cache-imports": "{"}) == {"cache-imports": ""}


def _span(name: str, id: str, parent: str, start: str, end: str, more: dict[str, object]) -> bytes:
    value = {
        "Name": name,
        "SpanContext": {"TraceID": "1" * 32, "SpanID": id * 16, "TraceFlags": "01"},
        "Parent": {"TraceID": "1" * 32, "SpanID": parent * 16},
        "SpanKind": 1,
        "StartTime": start,
        "EndTime": end,
        **more,
    }
    return json.dumps(value).encode() + b"\n"


def _text(key: str, value: str) -> dict[str, object]:
    return {"Key": key, "Value": {"Type": "STRING", "Value": value}}


def test_tokens_of_traces_stay_here() -> None:
    at = ("2026-01-01T00:00:00.120000000Z", "2026-01-01T00:00:01.000000000Z")
    words = [_text("c", "x --token=abc,b=1 TOKEN=x"), _text("d", "ghs_" + "a" * 36)]
    data = spans.without_secrets(_span("s", "a", "0", *at, {"Attributes": words}))
    told = json.loads(data)
    assert [one["Value"]["Value"] for one in told["Attributes"]] == [
        "x --token=xxxxx,b=1 TOKEN=xxxxx",
        "xxxxx",
    ]
    assert (told["StartTime"], told["EndTime"]) == (
        "2026-01-01T00:00:00.12Z",
        "2026-01-01T00:00:01Z",
    )
    assert told["Events"] is None


def test_traces_for_jaeger() -> None:
    at = ("2026-01-01T00:00:00.5Z", "2026-01-01T00:00:02.25Z")
    failed: dict[str, object] = {"Status": {"Code": 1, "Description": "no"}}
    read = spans.parse(_span("top", "a", "0", *at, {}) + _span("in", "b", "a", *at, failed))
    told = jaeger.trace(read)
    assert told["traceID"] == "1" * 32
    shown = told["spans"]
    assert isinstance(shown, list)
    assert [(one["operationName"], one["duration"]) for one in shown] == [
        ("top", 1_750_000),
        ("in", 1_750_000),
    ]
    assert {"key": "error", "type": "bool", "value": True} in shown[1]["tags"]
    with pytest.raises(InvalidRequest, match="no trace data"):
        jaeger.trace([])
    with pytest.raises(InvalidRequest, match="error decoding JSON"):
        spans.parse(b"{}\n[" * 100_000)
