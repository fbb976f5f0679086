"""`summary.json`: cache exports of one build. `tolerance.json`: what still works if changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from croze.cachekeys.contract import KeyLink
from croze.image import manifest as manifests
from croze.image.descriptor import UNCOMPRESSED_ANNOTATION, Descriptor
from croze.remotecache import config as configs
from croze.remotecache import inline
from croze.remotecache.chains import Chains, PendingRecord, ResultLayers
from croze.remotecache.config import CacheConfig, time_of
from croze.remotecache.importer import inline_of
from croze.remotecache.keys import ImportedKeys
from croze.remotecache.manifests import build
from tests.golden.case import Case
from tests.golden.difference import differences


def cases(folder: Path) -> Iterator[Case]:
    summary = folder / "summary.json"
    if summary.is_file():
        told = json.loads(summary.read_bytes())
        for name, variant in told["variants"].items():
            yield Case(
                "cache export", f"{told['name']} {name}", partial(_check, folder / name, variant)
            )
    changes = folder / "tolerance.json"
    if changes.is_file() and (folder / "simple").is_dir():
        for change in json.loads(changes.read_bytes()):
            title = f"tolerance {change['name']}"
            yield Case("cache export", title, partial(_tolerate, folder / "simple", change))


@dataclasses.dataclass(frozen=True)
class _Read:
    """An export as it lies in a folder."""

    manifest: bytes
    kind: str
    config: Descriptor
    config_bytes: bytes
    layers: tuple[Descriptor, ...]


def _read(folder: Path) -> _Read:
    index = json.loads((folder / "index.json").read_bytes())
    entry = index["manifests"][0]
    data = _blob(folder, entry["digest"])
    if "manifest.v1" in entry["mediaType"]:
        parsed = manifests.parse_manifest(data)
        config, layers = parsed.config, parsed.layers or ()
    else:
        *rest, config = manifests.parse_index(data).manifests
        layers = tuple(rest)
    return _Read(data, entry["mediaType"], config, _blob(folder, config.digest), layers)


def _blob(folder: Path, digest: str) -> bytes:
    return (folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def _check(folder: Path, variant: dict[str, Any]) -> list[str]:
    read = _read(folder)
    if variant["attrs"] == "type=inline":
        return _check_inline(read, variant)
    config = configs.parse(read.config_bytes)
    lines = _same_bytes("config", read.config_bytes, configs.marshal(config))
    turned = configs.normalized(_turned(config))
    lines += _same_bytes("config in normal form", read.config_bytes, configs.marshal(turned))
    again = configs.marshal(_without_times(_put_together(config)))
    lines += _same_bytes("config from records", configs.marshal(_without_times(config)), again)
    image_manifest = "image.manifest" in read.kind
    oci = "vnd.oci" in read.kind
    _, data = build(read.config, read.layers, image_manifest=image_manifest, oci=oci)
    lines += _same_bytes("manifest", read.manifest, data)
    lines += _compare_records(config, variant)
    return lines + _look_up(config, variant)


def _same_bytes(what: str, want: bytes, got: bytes) -> list[str]:
    return [] if want == got else [f"{what}: want {want!r}, got {got!r}"]


def _turned(config: CacheConfig) -> CacheConfig:
    """The same with all records in the opposite order."""
    last = len(config.records) - 1
    moved = [
        msgspec.structs.replace(
            record,
            inputs=tuple(
                tuple(msgspec.structs.replace(e, link=last - e.link) for e in links)
                for links in record.inputs
            ),
        )
        for record in reversed(config.records)
    ]
    return CacheConfig(config.layers, tuple(moved))


def _without_times(config: CacheConfig) -> CacheConfig:
    """Times have more digits in the file than we keep."""
    text = configs.marshal(config).decode()
    value = json.loads(text)
    for record in value.get("records", ()):
        for result in record.get("layers", ()):
            result["createdAt"] = configs.NO_TIME
    return configs.parse(json.dumps(value).encode())


def _inputs_first(config: CacheConfig) -> list[int]:
    order: list[int] = []

    def visit(place: int) -> None:
        for links in config.records[place].inputs:
            for each in links:
                if each.link not in order:
                    visit(each.link)
        if place not in order:
            order.append(place)

    for place in range(len(config.records)):
        visit(place)
    return order


def _put_together(config: CacheConfig) -> CacheConfig:
    chains = Chains()
    items: dict[int, PendingRecord] = {}
    for place in _inputs_first(config):
        record = config.records[place]
        inputs = [[(items[e.link], e.selector) for e in links] for links in record.inputs]
        result = None
        found = [(config.chain(each.layer), each.created_at) for each in record.layers]
        found += [(each.layers or (), each.created_at) for each in record.chains]
        for layers, created in found:
            blobs = tuple(config.layers[i].blob for i in layers)
            result = ResultLayers(blobs, time_of(created))
        items[place] = chains.add(record.digest, inputs, result)
    return chains.config()


def _compare_records(config: CacheConfig, variant: dict[str, Any]) -> list[str]:
    got = [
        {
            "digest": record.digest,
            "inputs": [
                [
                    {
                        "link": e.link,
                        "link_digest": config.records[e.link].digest,
                        "selector": e.selector,
                    }
                    for e in links
                ]
                for links in record.inputs
            ],
        }
        for record in config.records
    ]
    want = [{"digest": r["digest"], "inputs": r.get("inputs", [])} for r in variant["records"]]
    return differences(want, got, "records")


def _look_up(config: CacheConfig, variant: dict[str, Any]) -> list[str]:
    """Go the way a build goes: by cache map digests, from what begins to what ends."""
    keys = ImportedKeys(config, frozenset(layer.blob for layer in config.layers), "test")
    lines: list[str] = []
    ids: dict[int, str] = {}
    for place in _inputs_first(config):
        told = variant["records"][place]
        found = _targets(keys, config, place, told["meaning"], ids)
        if len(found) != 1:
            lines.append(f"record {place} ({told['meaning']}): found {sorted(found)}")
            continue
        ids[place] = found.pop()
        blobs = [
            [config.layers[i].blob for i in keys.found[stored.id].layers]
            for stored in keys.results(ids[place])
        ]
        want = [result["blobs"] for result in told.get("results", ())]
        lines += differences(want, blobs, f"results of record {place}")
    return lines


def _targets(
    keys: ImportedKeys,
    config: CacheConfig,
    place: int,
    meaning: dict[str, Any],
    ids: dict[int, str],
) -> set[str]:
    record = config.records[place]
    if not record.inputs:
        return {record.digest} if keys.exists(record.digest) else set()
    reached = [
        {
            target
            for each in links
            for target in keys.targets(
                ids.get(each.link, ""),
                KeyLink(index, meaning["output"], meaning["cache_digest"], each.selector),
            )
        }
        for index, links in enumerate(record.inputs)
    ]
    return set.intersection(*reached)


def _check_inline(read: _Read, variant: dict[str, Any]) -> list[str]:
    found = inline_of(read.config_bytes, read.layers)
    if found is None:
        return [] if not variant.get("has_cache", True) else ["no cache found in the image"]
    config, notes = found
    lines = _compare_records(config, variant)
    want = [r.get("results", []) + r.get("chains", []) for r in variant["records"]]
    got = [
        [{"layer": e.layer} for e in r.layers]
        + [{"layers": list(e.layers or ())} for e in r.chains]
        for r in config.records
    ]
    lines += differences(want, got, "results")
    places = {layer.blob: place for place, layer in enumerate(config.layers)}
    again = inline.for_image(_without_times(_put_together(config)), places)
    records = configs.marshal_records(_without_times(config).records)
    lines += _same_bytes("records", records, again or b"")
    if len(notes) != len(read.layers) or not all(note[UNCOMPRESSED_ANNOTATION] for note in notes):
        lines.append(f"annotations: {notes}")
    return lines


# What was changed by hand

_Change = Callable[[dict[str, Any], list[dict[str, Any]]], None]


def _tolerate(folder: Path, change: dict[str, Any]) -> list[str]:
    read = _read(folder / "max")
    raw = json.loads(read.config_bytes)
    layers = json.loads(read.manifest)["layers"]
    _CHANGES[change["name"]](raw, layers)
    config = configs.parse(json.dumps(raw, indent=1).encode())
    blobs = frozenset(layer["digest"] for layer in layers)
    told = json.loads((folder / "summary.json").read_bytes())["variants"]["max"]
    got = _cached(config, blobs, told["records"])
    want = {
        "neither cached; no error": set(),
        "COPY cached, RUN not cached": {"COPY"},
    }.get(change["observed"], {"COPY", "RUN"})
    return [] if got == want else [f"{change['observed']}: cached are {sorted(got)}"]


def _cached(config: CacheConfig, blobs: frozenset[str], told: list[dict[str, Any]]) -> set[str]:
    """The steps that are found and, at or above which, there is a result."""
    keys = ImportedKeys(config, blobs, "test")
    names = {"COPY": 0, "RUN": 2}
    roots = [told[1]["digest"], told[3]["digest"]]
    copy, run = told[names["COPY"]], told[names["RUN"]]
    by_image = _step(keys, roots, copy["meaning"], 0, copy["inputs"][0][0]["selector"])
    content = [told[4]["digest"]]
    copies = by_image & _step(keys, content, copy["meaning"], 1, "")
    runs = _step(keys, list(copies), run["meaning"], 0, run["inputs"][0][0]["selector"])
    has_run = any(keys.results(key) for key in runs)
    has_copy = has_run or any(keys.results(key) for key in copies)
    return {name for name, there in (("COPY", has_copy), ("RUN", has_run)) if there}


def _step(
    keys: ImportedKeys, sources: list[str], meaning: dict[str, Any], index: int, selector: str
) -> set[str]:
    link = KeyLink(index, meaning["output"], meaning["cache_digest"], selector)
    return {target for source in sources for target in keys.targets(source, link)}


def _reverse(config: dict[str, Any], _: list[dict[str, Any]]) -> None:
    last = len(config["records"]) - 1
    config["records"].reverse()
    for link in _links(config):
        link["link"] = last - link["link"]


def _links(config: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for record in config["records"]:
        for links in record.get("inputs", ()):
            yield from links


def _drop_notes(*keys: str) -> _Change:
    def change(_: dict[str, Any], layers: list[dict[str, Any]]) -> None:
        for layer in layers:
            for key in keys:
                layer["annotations"].pop(key, None)

    return change


def _keep_link(which: int) -> _Change:
    def change(config: dict[str, Any], _: list[dict[str, Any]]) -> None:
        copy = config["records"][0]
        copy["inputs"][0] = [copy["inputs"][0][which]]

    return change


def _times(value: str | None) -> _Change:
    def change(config: dict[str, Any], _: list[dict[str, Any]]) -> None:
        for record in config["records"]:
            for result in record.get("layers", ()):
                result.pop("createdAt")
                if value is not None:
                    result["createdAt"] = value

    return change


def _as_chains(config: dict[str, Any], _: list[dict[str, Any]]) -> None:
    parsed = configs.parse(json.dumps(config).encode())
    for record in config["records"]:
        found = record.pop("layers", ())
        record["chains"] = [
            {"layers": list(parsed.chain(r["layer"])), "createdAt": r["createdAt"]} for r in found
        ]


def _no_selectors(config: dict[str, Any], _: list[dict[str, Any]]) -> None:
    for link in _links(config):
        link.pop("selector", None)


def _drop_layer(config: dict[str, Any], layers: list[dict[str, Any]]) -> None:
    result = config["records"][0]["layers"][0]["layer"]
    gone = config["layers"][result]["blob"]
    layers[:] = [layer for layer in layers if layer["digest"] != gone]


def _no_copy_result(config: dict[str, Any], _: list[dict[str, Any]]) -> None:
    del config["records"][0]["layers"]


def _docker_types(_: dict[str, Any], layers: list[dict[str, Any]]) -> None:
    for layer in layers:
        layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"


_CHANGES: dict[str, _Change] = {
    "records-reversed": _reverse,
    "no-createdat": _drop_notes("buildkit/createdat"),
    "no-uncompressed": _drop_notes(UNCOMPRESSED_ANNOTATION),
    "no-annotations": _drop_notes(UNCOMPRESSED_ANNOTATION, "buildkit/createdat"),
    "only-chain-id-link": _keep_link(0),
    "only-manifest-link": _keep_link(1),
    "createdat-epoch": _times("1970-01-01T00:00:00Z"),
    "no-record-createdat": _times(None),
    "chains": _as_chains,
    "no-selector": _no_selectors,
    "missing-layer-descriptor": _drop_layer,
    "middle-without-result": _no_copy_result,
    "docker-layer-type": _docker_types,
    "indented-json": lambda _config, _layers: None,
}
