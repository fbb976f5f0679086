"""`provenance/BUILD/VARIANT/statement.json`: what is told of a build, and how the image carries it.

The recorded Dockerfile (variants with `mode=max` hold it) is converted anew; the digest of its base
image and the layers of the steps are taken as they were recorded.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from croze.api import ops_pb2
from croze.attest.buildsteps import build_steps
from croze.attest.capture import Capture
from croze.attest.provenance import Account, BuildFacts, Layers, marshalled, parse_options
from croze.attest.requests import AttestedRequest
from croze.dockerfile import LANGUAGE_VERSION, frontend
from croze.dockerfile.resolver import ImageQuestion, ResolvedImage
from croze.export import attestations
from croze.export.contract import Attestation, NamedSubject
from croze.fs.temporary import temporary_directory
from croze.gotypes import gojson
from croze.image.descriptor import Descriptor
from croze.image.platform import Platform
from croze.image.purl import package_url
from croze.llb.definition import source_ops
from croze.sources.materials import ImageMaterial, LocalMaterial
from croze.store.blobs import DiskBlobStore
from croze.store.trash import Trash
from tests.golden.case import Case
from tests.golden.difference import differences
from tests.golden.stub_resolver import StubResolver, image_config, sha256
from tests.store.pools import ThreadPool

_STATEMENT = "statement.json"
_PLACEHOLDER = re.compile(r"<(?:digest \d+|time|random id)>")
_HERE = Platform("amd64", "linux")


def cases(folder: Path) -> Iterator[Case]:
    if (folder / _STATEMENT).is_file() and (folder / "attestation-manifest.json").is_file():
        yield Case("provenance", f"{folder.parent.name}/{folder.name}", partial(_check, folder))


def _check(folder: Path) -> list[str]:
    want = json.loads((folder / _STATEMENT).read_bytes())
    made = asyncio.run(_Build.recorded(folder).statement(folder.name, want))
    for placeholder in set(_PLACEHOLDER.findall(json.dumps(want))):
        made = made.replace(sha256(placeholder).encode(), placeholder.encode())
    got = _hidden(json.loads(made))
    lines = differences(_comparable(want), _comparable(got))
    if not lines and _in_order(want) != _in_order(got):
        lines.append("equal members, in another order")
    return lines + asyncio.run(_check_manifest(folder, want, made))


@dataclass(frozen=True)
class _Build:
    """What all variants have in common; `layers` by step."""

    name: str
    dockerfile: bytes
    args: Mapping[str, str]
    root_args: Mapping[str, str]
    layers: Mapping[str, Any]

    @classmethod
    def recorded(cls, folder: Path) -> _Build:
        """From this variant, or one beside it that says more."""
        for each in (folder, *sorted(folder.parent.glob("*max*"))):
            told = _Told(json.loads((each / _STATEMENT).read_bytes())["predicate"])
            if told.metadata.get("source"):
                data = base64.b64decode(told.metadata["source"]["infos"][0]["data"])
                root = told.request.get("root", {}).get("request", {}).get("args", {})
                layers = told.metadata.get("layers", {})
                name = folder.parent.name
                return cls(name, data, told.request.get("args", {}), root, layers)
        raise ValueError(f"no variant beside {folder} holds the Dockerfile")

    async def statement(self, variant: str, want: dict[str, Any]) -> bytes:
        told = _Told(want["predicate"])
        resolver = _Resolver(self.dockerfile, "dockerfile", "Dockerfile", images=told.images)
        built = await frontend.build(self.args, resolver)
        (definition,) = built.definitions.values()
        used = _used(definition, resolver).described()
        asked = AttestedRequest("dockerfile.v0", self.args)
        request = asked.told(used, AttestedRequest("", self.root_args)).request
        account = Account(used, definition, asked, request.root if request else None)
        version, _, mode = variant.partition("-")
        options = parse_options(
            {"mode": mode.partition("-")[0], "version": "v0.2" if version == "v02" else "v1"}
        )
        facts = BuildFacts(datetime.now(UTC), 30, LANGUAGE_VERSION)
        predicate = account.predicate(facts, options, self._layers(definition), datetime.now(UTC))
        made = Attestation(
            options.predicate_type, content=marshalled(predicate, options.predicate_type)
        )
        subject = NamedSubject(
            package_url(f"example.com/golden/{self.name}:v1", _HERE),
            want["subject"][0]["digest"],
        )
        return await attestations.statement(made, [subject], (), ThreadPool())

    def _layers(self, definition: ops_pb2.Definition) -> Layers:
        digests = {number: digest for digest, number in build_steps(definition).numbers.items()}
        found = {}
        for key, chains in self.layers.items():
            step, _, index = key.removeprefix("step").partition(":")
            found[digests[int(step)], int(index)] = [[_descriptor(d) for d in c] for c in chains]
        return found


@dataclass(frozen=True)
class _Told:
    """The same things of both versions' predicates."""

    predicate: dict[str, Any]

    @property
    def request(self) -> dict[str, Any]:
        if "buildDefinition" in self.predicate:
            found = self.predicate["buildDefinition"]["externalParameters"]["request"]
        else:
            found = self.predicate["invocation"]["parameters"]
        return dict(found)

    @property
    def metadata(self) -> dict[str, Any]:
        if "runDetails" in self.predicate:
            return dict(self.predicate["runDetails"]["metadata"]["buildkit_metadata"])
        return dict(self.predicate["metadata"]["https://mobyproject.org/buildkit@v1#metadata"])

    @property
    def images(self) -> Mapping[str, str]:
        """Digests by package URL."""
        definition = self.predicate.get("buildDefinition", {})
        listed = self.predicate.get("materials") or definition.get("resolvedDependencies", [])
        return {each["uri"]: f"sha256:{each['digest']['sha256']}" for each in listed}


@dataclass
class _Resolver(StubResolver):
    """Base images are those that were recorded."""

    images: Mapping[str, str] | None = None
    asked: tuple[ImageMaterial, ...] = ()

    async def resolve_image(self, question: ImageQuestion) -> ResolvedImage:
        ref, platform = question.ref, question.platform
        digest = (self.images or {})[package_url(ref, platform)]
        self.asked += (ImageMaterial(ref, platform, digest),)
        return ResolvedImage(ref, digest, image_config(ref, "", _HERE))


def _used(definition: ops_pb2.Definition, resolver: _Resolver) -> Capture:
    """As a build would have captured it."""
    capture = Capture()
    infos = [info.definition for info in definition.Source.infos]
    for source in [s for each in (definition, *infos) for s in source_ops(each)]:
        scheme, _, name = source.identifier.partition("://")
        if scheme == "local":
            capture.add(LocalMaterial(name))
        else:
            capture.add(ImageMaterial(name, _HERE, name.partition("@")[2]))
    for image in resolver.asked:
        capture.add(image)
    return capture


def _descriptor(recorded: Mapping[str, Any]) -> Descriptor:
    digest = recorded["digest"]
    return Descriptor(
        recorded["mediaType"],
        sha256(digest) if _PLACEHOLDER.match(digest) else digest,
        recorded["size"],
    )


def _hidden(statement: dict[str, Any]) -> dict[str, Any]:
    """With the corpus's placeholders for what no two builds have in common."""
    predicate = statement["predicate"]
    metadata = predicate.get("metadata") or predicate["runDetails"]["metadata"]
    for key in metadata:
        if key in ("invocationId", "buildInvocationID"):
            metadata[key] = "<random id>"
        elif key.endswith("On"):
            metadata[key] = "<time>"
    return statement


def _comparable(value: Any) -> Any:
    """Digests that hang on a client's session are counted, not compared."""
    if isinstance(value, dict):
        return {
            key: sorted(each.values()) if key == "digestMapping" else _comparable(each)
            for key, each in value.items()
        }
    return [_comparable(each) for each in value] if isinstance(value, list) else value


def _in_order(value: Any) -> Any:
    """Objects as lists of pairs."""
    if isinstance(value, dict):
        return [(k, len(v) if k == "digestMapping" else _in_order(v)) for k, v in value.items()]
    return [_in_order(each) for each in value] if isinstance(value, list) else value


async def _check_manifest(folder: Path, want: dict[str, Any], made: bytes) -> list[str]:
    """The manifest that carries the statement, and its entry in the image's index."""
    index = json.loads((folder / "image-index.json").read_bytes())
    manifest = json.loads((folder / "attestation-manifest.json").read_bytes())
    target = _descriptor(index["manifests"][0])
    with temporary_directory("golden") as root:
        trash = Trash(Path(root))
        blobs = DiskBlobStore(Path(root), trash)
        trash.close()
        entry, (config, _) = await attestations.write_manifest(
            blobs,
            target,
            [(want["predicateType"], gojson.marshal(json.loads(made)))],
            artifact="artifactType" in manifest,
            oci=True,
        )
        got = json.loads(blobs.read(entry.digest))
        got_config = json.loads(blobs.read(config.digest))
    want_config = json.loads((folder / "attestation-config.json").read_bytes())
    lines = differences(_sized(manifest), _sized(got, manifest), "attestation manifest")
    lines += differences(want_config, _placed(want_config, got_config), "attestation config")
    shown = json.loads(gojson.marshal(entry))
    recorded = index["manifests"][1]
    return lines + differences(_sized(recorded), _sized(shown, recorded), "entry in the index")


def _sized(value: Any, pattern: Any = None) -> Any:
    """Without the sizes of what has no fixed digest."""
    pattern = value if pattern is None else pattern
    if isinstance(value, dict) and isinstance(pattern, dict):
        open_ended = bool(_PLACEHOLDER.match(str(pattern.get("digest", ""))))
        return {
            key: (
                "<any>"
                if open_ended and key in ("digest", "size")
                else _sized(each, pattern.get(key))
            )
            for key, each in value.items()
        }
    if isinstance(value, list) and isinstance(pattern, list):
        return [_sized(each, p) for each, p in zip(value, pattern, strict=False)]
    return value


def _placed(pattern: Any, value: Any) -> Any:
    """With the pattern's placeholders."""
    if isinstance(pattern, str) and _PLACEHOLDER.match(pattern):
        return pattern
    if isinstance(pattern, dict) and isinstance(value, dict):
        return {key: _placed(pattern.get(key), each) for key, each in value.items()}
    if isinstance(pattern, list) and isinstance(value, list):
        return [_placed(p, each) for p, each in zip(pattern, value, strict=False)]
    return value
