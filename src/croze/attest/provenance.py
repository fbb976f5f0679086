"""Provenance of one result, from what was captured and what the request wants of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.attest.buildsteps import BuildSteps, build_steps
from croze.attest.capture import SortedCapture
from croze.attest.predicate import V02, V1, Predicate, ResolvedDependency
from croze.attest.requests import (
    VCS,
    AttestedRequest,
    LentName,
    Local,
    RequestProvenance,
    commit_digest,
)
from croze.errors import CrozeError, InvalidRequest, MaterialsDetail, MissingMaterial
from croze.files.redact import redact
from croze.gotypes import gojson
from croze.gotypes import messages as message_json
from croze.gotypes.booleans import checked_bool, parse_bool
from croze.gotypes.moments import rfc3339_of
from croze.identity import new_id
from croze.image import platform as platforms
from croze.image.descriptor import Descriptor
from croze.image.purl import ImageType, digest_set, package_url
from croze.sources.materials import BlobMaterial, GitMaterial, ImageMaterial

_LOCAL = "local_source"
_DOCKERFILE = "dockerfile.v0"
_MODES = {"min": "min", "max": "max", "full": "max"}
_VERSIONS = {"v1": V1, "v0.2": V02}

Layers = Mapping[tuple[str, int], Sequence[Sequence[Descriptor]]]
"""Layer chains by op digest and output index."""


class ProvenanceOptions(Struct, frozen=True):
    """What `attest:provenance` asks for."""

    mode: str = "max"
    predicate_type: str = V1
    builder_id: str = ""
    reproducible: bool = False
    inline_only: bool = False
    filename: str = "provenance.json"
    complete_materials: bool = False
    usage: bool = False
    """How busy the machine was, with `max` or not."""


def parse_options(attrs: Mapping[str, str]) -> ProvenanceOptions:
    """The options that the attributes of `attest:provenance` say. Raises `InvalidRequest`."""
    mode, version = attrs.get("mode", "max"), attrs.get("version", "v1")
    if mode not in _MODES:
        raise InvalidRequest(f'invalid mode "{mode}"')
    if not version:
        raise InvalidRequest("provenance SLSA version cannot be empty")
    if version not in _VERSIONS:
        raise InvalidRequest(f"invalid provenance SLSA version: {version}")
    return ProvenanceOptions(
        mode=_MODES[mode],
        predicate_type=_VERSIONS[version],
        builder_id=attrs.get("builder-id", ""),
        reproducible=_flag(attrs, "reproducible"),
        inline_only=parse_bool(attrs.get("inline-only", "")) is True,
        filename=attrs.get("filename", "provenance.json"),
        complete_materials=_flag(attrs, "complete-materials"),
        usage=parse_bool(attrs.get("capture-usage", "")) is True,
    )


def _flag(attrs: Mapping[str, str], key: str) -> bool:
    text = attrs.get(key)
    return text is not None and checked_bool(text, f'failed to parse {key} flag "{text}"')


class BuildFacts(Struct, frozen=True):
    """What is the same for all results of a build. `custom`: what the administrator has said of
    the builder."""

    started: datetime
    compatibility: int
    dockerfile_version: str
    custom: Mapping[str, object] = field(default_factory=dict)
    invocation_id: str = field(default_factory=new_id)


class Account(Struct, frozen=True):
    """How one result came to be. `request`: what its frontend was asked for, None without one;
    `root`: what the client asked for, if that is another request."""

    used: SortedCapture
    definition: ops_pb2.Definition
    request: AttestedRequest | None = None
    root: RequestProvenance | None = None

    def check(self, options: ProvenanceOptions) -> None:
        """See that all materials are known, if the options want them to be. Raises `CrozeError`
        with a `MaterialsDetail` where they are not."""
        if options.complete_materials and not self.used.complete:
            raise incomplete(self.used)

    def predicate(
        self,
        facts: BuildFacts,
        options: ProvenanceOptions,
        layers: Layers,
        finished: datetime,
        usage: Sequence[Mapping[str, object]] = (),
    ) -> Predicate:
        """The provenance of the result. `usage`: samples of the machine. Raises `InvalidRequest`
        for what is no definition."""
        predicate = self._base(facts, options, finished)
        predicate = replace(predicate, metadata={**predicate.metadata, **_network(self.used)})
        samples: dict[str, object] = {"sysUsage": list(usage)} if usage else {}
        if options.mode == "min":
            return replace(predicate.min(), metadata={**predicate.metadata, **samples})
        steps = build_steps(self.definition, self.used.usage if options.usage else None)
        metadata = {
            **predicate.metadata,
            **_source(self.definition, steps),
            **_layers(layers, steps),
        } | samples
        return replace(predicate, build_config=steps.members(), metadata=metadata)

    def _base(self, facts: BuildFacts, options: ProvenanceOptions, finished: datetime) -> Predicate:
        used = self.used
        requested = (self.request or AttestedRequest("", {})).told(used)
        assert requested.request is not None
        args = dict(requested.request.args)
        vcs = {
            key.removeprefix(VCS): redact(args[key]) if key == f"{VCS}source" else args[key]
            for key in sorted(args)
            if key.startswith(VCS) and args[key]
        }
        request = msgspec.structs.replace(
            requested.request,
            args={key: value for key, value in args.items() if not key.startswith(VCS)},
            secrets=_named(used.secrets),
            ssh=_named(used.ssh),
            locals=tuple(Local(each.name) for each in used.locals),
            root=self.root,
            compatibility_version=facts.compatibility,
        )
        source = requested.config_source
        assert source is not msgspec.UNSET
        return Predicate(
            materials=tuple(materials(used)),
            config_source=source,
            request=request,
            builder_id=options.builder_id,
            environment=self._environment(facts, request.frontend),
            metadata={"vcs": vcs} if vcs else {},
            invocation_id=facts.invocation_id,
            started=rfc3339_of(facts.started),
            finished=rfc3339_of(finished),
            hermetic=used.complete and not used.network,
            request_complete=bool(request.frontend),
            materials_complete=used.complete,
            reproducible=options.reproducible,
        )

    def _environment(self, facts: BuildFacts, frontend: str) -> Mapping[str, object]:
        here = platforms.format(platforms.default_platform())
        environment: dict[str, object] = {"builderPlatform": here}
        if frontend == _DOCKERFILE and facts.dockerfile_version:
            environment["dockerfileVersion"] = facts.dockerfile_version
        return {**environment, **facts.custom}


def incomplete(used: SortedCapture) -> CrozeError:
    """The error that tells which of a result's materials are not known."""
    lines = [
        "provenance materials are incomplete",
        "",
        "The build requested complete provenance materials, but not all dependencies could be "
        "captured.",
    ]
    missing = [MissingMaterial(each.name, _LOCAL) for each in used.locals]
    if missing:
        lines += ["", "Uncaptured local sources:"]
    for each in missing:
        lines += [f"  - {each.name or '<unnamed>'}", f"    reason: {_LOCAL}"]
    if used.uncaptured:
        lines += ["", "Uncaptured requests:"]
    for each in used.uncaptured:
        lines += [f"  - {each.name}", f"    method: {each.method}"]
        lines += [f"    url: {each.uri}", f"    reason: {each.reason}"]
    return CrozeError("\n".join(lines), MaterialsDetail((*missing, *used.uncaptured)))


def _network(used: SortedCapture) -> dict[str, object]:
    """What a network was that could not be any other."""
    if not used.proxied:
        return {}
    missing = [
        {"op": m.op, "name": m.name, "method": m.method, "uri": m.uri, "reason": m.reason}
        for m in used.uncaptured
    ]
    more = {"proxy": {"incomplete": missing}} if missing else {}
    return {"network": {"mode": "proxy", **more}}


def marshalled(predicate: Predicate, kind: str) -> bytes:
    """The predicate's JSON, compact."""
    return gojson.marshal(predicate.v02() if kind == V02 else predicate.v1())


def _named(ids: Mapping[str, bool]) -> tuple[LentName, ...]:
    return tuple(LentName(id, optional) for id, optional in ids.items())


def materials(used: SortedCapture) -> list[ResolvedDependency]:
    """All that has a digest, as package URLs and addresses."""
    listed = [_image(each) for each in used.images]
    listed += [_blob(each) for each in used.blobs]
    for git in used.git:
        listed += _git(git)
    listed += [ResolvedDependency(each.url, digest_set(each.digest)) for each in used.http]
    return listed


def _image(image: ImageMaterial) -> ResolvedDependency:
    uri = package_url(image.ref, image.platform, type=_type(local=image.local))
    return ResolvedDependency(uri, digest_set(image.digest) if image.digest else {})


def _type(*, local: bool) -> ImageType:
    return "oci" if local else "docker"


def _blob(blob: BlobMaterial) -> ResolvedDependency:
    uri = package_url(blob.ref, type=_type(local=blob.local), more={"ref_type": "blob"})
    return ResolvedDependency(uri, digest_set(blob.digest))


def _git(git: GitMaterial) -> list[ResolvedDependency]:
    dependencies = [ResolvedDependency(git.url, commit_digest(git.commit))]
    scheme, _, body = git.bundle.partition("://")
    name, _, digest = body.rpartition("@")
    if name and digest:
        kind = _type(local=scheme == "oci-layout+blob")
        uri = package_url(name, type=kind, more={"ref_type": "bundle", "vcs_url": git.url})
        dependencies.append(ResolvedDependency(uri, digest_set(digest)))
    return dependencies


def _source(definition: ops_pb2.Definition, steps: BuildSteps) -> dict[str, object]:
    """The files that the definition comes from, and which lines of them each step."""
    if not definition.Source.infos:
        return {}
    infos = []
    for info in definition.Source.infos:
        members = {"filename": info.filename, "language": info.language, "data": info.data}
        inner = build_steps(info.definition if info.HasField("definition") else None)
        infos.append({key: value for key, value in members.items() if value} | inner.members())
    locations = definition.Source.locations
    places = {
        f"step{number}": message_json.message(locations[digest])
        for digest, number in steps.numbers.items()
        if digest in locations
    }
    places = {key: places[key] for key in sorted(places)}
    return {"source": ({"locations": places} if places else {}) | {"infos": infos}}


def _layers(layers: Layers, steps: BuildSteps) -> dict[str, object]:
    by_digest = {
        f"step{steps.numbers[digest]}:{index}": [[_descriptor(d) for d in c] for c in chains]
        for (digest, index), chains in layers.items()
        if digest in steps.numbers
    }
    return {"layers": {key: by_digest[key] for key in sorted(by_digest)}} if by_digest else {}


def _descriptor(layer: Descriptor) -> object:
    return msgspec.to_builtins(layer)
