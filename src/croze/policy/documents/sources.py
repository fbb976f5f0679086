"""A source becomes a document, with the materials of its provenance below it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qs, unquote

from croze.api import gateway_pb2
from croze.errors import CrozeError
from croze.files.settings import parse_json
from croze.http.urls import parse_url
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform
from croze.policy.contract import DEBUG
from croze.policy.documents.document import AskedChecksum, InputDocument, Log, given
from croze.policy.documents.git import git_document
from croze.policy.documents.materials import material_source
from croze.policy.documents.provenance import provenance_of

MOST_DEEP = 24
"""How far provenance of provenance is followed."""
_CONFIG = ("labels", "user", "volumes", "workingDir", "env")
_ATTESTED = ("hasProvenance", "provenance", "signatures")
_AUTH_SECRET = "http.authheadersecret"

Verify = Callable[[gateway_pb2.AttestationChain, Platform], Awaitable[Mapping[str, object] | None]]
"""Who signed an image. Raises `CrozeError`."""


class DocumentReader:
    """Makes documents. `verify` is None if nobody checks signatures."""

    def __init__(self, log: Log, verify: Verify | None) -> None:
        self._log = log
        self._verify = verify

    async def document(
        self,
        response: gateway_pb2.ResolveSourceMetaResponse,
        platform: Platform | None,
        depth: int = 0,
        seen: frozenset[str] = frozenset(),
    ) -> InputDocument:
        """The document of a source, of which the daemon has told `response`. For the materials of
        its provenance it calls itself, with their `depth` and the sources `seen` above. Raises
        `CrozeError`."""
        if depth > MOST_DEEP:
            raise CrozeError(f"provenance materials depth exceeds limit {MOST_DEEP}")
        document = await self._one(response, platform)
        if not document.raw_materials:
            return document
        key = response.Source.identifier + (f"|{platforms.format(platform)}" if platform else "")
        if key in seen:
            return InputDocument()
        for material in document.raw_materials:
            source, own = material_source(material)
            inner = gateway_pb2.ResolveSourceMetaResponse(Source=source)
            try:
                child = await self.document(inner, own or platform, depth + 1, seen | {key})
            except CrozeError as error:
                raise error.wrap(f'failed to build material input for "{material.uri}"') from None
            document.materials.append(child)
        return document

    async def _one(
        self, response: gateway_pb2.ResolveSourceMetaResponse, platform: Platform | None
    ) -> InputDocument:
        if not response.HasField("Source"):
            raise CrozeError("no source info in request")
        scheme, separator, name = response.Source.identifier.partition("://")
        if not separator:
            raise CrozeError(f"invalid source identifier: {response.Source.identifier}")
        match scheme:
            case "http" | "https":
                return _http(response, scheme)
            case "git":
                return git_document(response)
            case "docker-image":
                return await self._image(response, name, platform)
            case "local":
                return InputDocument("local", given({"name": name}))
        raise CrozeError(f"unsupported source scheme: {scheme}")

    async def _image(
        self,
        response: gateway_pb2.ResolveSourceMetaResponse,
        name: str,
        platform: Platform | None,
    ) -> InputDocument:
        try:
            ref = reference.parse(name)
        except CrozeError as error:
            raise error.wrap("failed to parse image source reference") from None
        if platform is None:
            raise CrozeError("platform required for image source")
        document = InputDocument("image")
        members = _name_fields(ref, platform)
        if not response.HasField("Image"):
            document.unknown += [] if ref.digest else ["image.checksum"]
            document.unknown += [f"image.{each}" for each in (*_CONFIG, *_ATTESTED)]
        else:
            members["checksum"] = response.Image.Digest
            members |= _config(response.Image.Config)
            if not response.Image.Config:
                document.unknown += [f"image.{each}" for each in _CONFIG]
            if response.Image.HasField("AttestationChain"):
                chain = response.Image.AttestationChain
                members |= await self._attested(chain, platform, document)
            else:
                document.unknown += [f"image.{each}" for each in _ATTESTED]
        provenance = members.pop("provenance", None)
        signatures = members.pop("signatures", None)
        document.fields = given(members)
        if provenance is not None:
            document.fields["provenance"] = provenance
        if signatures:
            document.fields["signatures"] = signatures
        return document

    async def _attested(
        self, chain: gateway_pb2.AttestationChain, platform: Platform, document: InputDocument
    ) -> dict[str, object]:
        members: dict[str, object] = {}
        provenance = provenance_of(chain, self._log)
        if provenance is not None:
            members["provenance"], document.raw_materials = provenance
        members["hasProvenance"] = bool(chain.AttestationManifest) or provenance is not None
        signed = chain.Root and chain.AttestationManifest and chain.SignatureManifests
        if self._verify is not None and signed:
            try:
                signature = await self._verify(chain, platform)
            except CrozeError as error:
                self._log(DEBUG, f"failed to parse image signatures: {error}")
            else:
                members["signatures"] = [signature] if signature is not None else []
        return members


def _name_fields(ref: reference.Reference, platform: Platform) -> dict[str, object]:
    return {
        "ref": str(ref),
        "host": ref.domain,
        "repo": ref.familiar_name,
        "fullRepo": ref.name,
        "tag": ref.tag,
        "platform": platforms.format(platform),
        "os": platform.os,
        "arch": platform.architecture,
        "variant": platform.variant,
        "isCanonical": bool(ref.digest),
        "checksum": ref.digest,
    }


def _config(data: bytes) -> dict[str, object]:
    if not data:
        return {}
    try:
        image = parse_json(data)
        config = image.get("config") or {}
        volumes = sorted(config.get("Volumes") or {})
        return {
            "createdTime": _created(image.get("created")),
            "env": list(config.get("Env") or ()),
            "labels": dict(sorted((config.get("Labels") or {}).items())),
            "user": str(config.get("User") or ""),
            "volumes": volumes,
            "workingDir": str(config.get("WorkingDir") or ""),
        }
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CrozeError(f"failed to unmarshal image config: {error}") from None


def _created(text: object) -> str:
    """RFC 3339 in whole seconds."""
    if not isinstance(text, str):
        return ""
    moment = datetime.fromisoformat(text)
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _http(response: gateway_pb2.ResolveSourceMetaResponse, scheme: str) -> InputDocument:
    url = response.Source.identifier
    try:
        parts = parse_url(url)
    except CrozeError as error:
        raise CrozeError(f"failed to parse http source url: {error}") from None
    document = InputDocument("http")
    checksum = response.HTTP.Checksum
    if response.HTTP.HasField("ChecksumResponse"):
        answer = response.HTTP.ChecksumResponse
        document.asked_checksum = AskedChecksum(answer.Digest, answer.Suffix)
    if not checksum:
        document.unknown.append("http.checksum")
    document.fields = given(
        {
            "url": url,
            "schema": scheme,
            "host": parts.netloc.rpartition("@")[2],
            "path": unquote(parts.path),
            "query": dict(sorted(parse_qs(parts.query, keep_blank_values=True).items())),
            "hasAuth": _AUTH_SECRET in response.Source.attrs,
            "checksum": checksum,
        }
    )
    return document
