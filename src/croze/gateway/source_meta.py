"""What a frontend, or a policy of the client, may ask about a source before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from google.protobuf import timestamp_pb2
from msgspec.structs import replace

from croze.api import gateway_pb2, ops_pb2
from croze.dockerfile.resolver import ImageQuestion, OciStore, ResolvedImage
from croze.errors import InvalidRequest
from croze.image.platform import Platform
from croze.llb.graph import platform_value
from croze.sources.attestation_chain import AttestationChain
from croze.sources.facts import ChecksumRequest, FactsWanted, SourceFacts

IMAGE, LAYOUT = "docker-image", "oci-layout"
_ALGORITHMS = {
    gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA256: "sha256",
    gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA384: "sha384",
    gateway_pb2.ChecksumRequest.CHECKSUM_ALGO_SHA512: "sha512",
}


class SourceKnowledge(Protocol):
    """Knows sources: `source_resolution.SourceResolution`."""

    async def ask_image(self, question: ImageQuestion) -> ResolvedImage:
        """The config of an image, after source policies have had their say. Raises `NotFound`."""

    async def attestations(
        self, question: ImageQuestion, predicate_types: Sequence[str]
    ) -> AttestationChain | None:
        """How attestations of these in-toto predicate types hang together with an image; None if it
        has none."""

    async def source_facts(
        self, source: ops_pb2.SourceOp, facts: FactsWanted, *, log_name: str = ""
    ) -> SourceFacts:
        """What `facts` asks of a source; progress is shown in a step called `log_name`."""


async def resolve(
    sources: SourceKnowledge, request: gateway_pb2.ResolveSourceMetaRequest
) -> gateway_pb2.ResolveSourceMetaResponse:
    """Answer what a client asks of a source; policies have been asked."""
    scheme = request.Source.identifier.partition("://")[0]
    if scheme in (IMAGE, LAYOUT):
        return await _image(sources, request, scheme)
    facts = await sources.source_facts(request.Source, _wanted(request), log_name=request.LogName)
    response = gateway_pb2.ResolveSourceMetaResponse(Source=request.Source)
    if facts.git is not None:
        response.Git.CopyFrom(
            gateway_pb2.ResolveSourceGitResponse(
                Checksum=facts.git.checksum,
                Ref=facts.git.ref,
                CommitChecksum=facts.git.commit,
                CommitObject=facts.git.commit_object,
                TagObject=facts.git.tag_object,
            )
        )
    elif scheme in ("http", "https"):
        response.HTTP.CopyFrom(_http(request, facts))
    return response


def _wanted(request: gateway_pb2.ResolveSourceMetaRequest) -> FactsWanted:
    checksum = None
    if request.HTTP.HasField("ChecksumRequest"):
        algorithm = _ALGORITHMS.get(request.HTTP.ChecksumRequest.Algo)
        if algorithm is None:
            raise InvalidRequest(
                f"unsupported checksum algorithm {request.HTTP.ChecksumRequest.Algo}"
            )
        checksum = ChecksumRequest(algorithm, request.HTTP.ChecksumRequest.Suffix)
    return FactsWanted(git_objects=request.Git.ReturnObject, checksum=checksum)


def _http(
    request: gateway_pb2.ResolveSourceMetaRequest, facts: SourceFacts
) -> gateway_pb2.ResolveSourceHTTPResponse:
    response = gateway_pb2.ResolveSourceHTTPResponse(
        Checksum=facts.checksum, Filename=facts.filename
    )
    if facts.last_modified is not None:
        response.LastModified.CopyFrom(timestamp_pb2.Timestamp(seconds=facts.last_modified))
    if facts.asked_checksum:
        response.ChecksumResponse.Digest = facts.asked_checksum
        response.ChecksumResponse.Suffix = request.HTTP.ChecksumRequest.Suffix
    return response


async def _image(
    sources: SourceKnowledge, request: gateway_pb2.ResolveSourceMetaRequest, scheme: str
) -> gateway_pb2.ResolveSourceMetaResponse:
    source = request.Source
    store = None
    if scheme == LAYOUT:
        store = OciStore(source.attrs.get("oci.session", ""), source.attrs.get("oci.store", ""))
    ref, platform = source.identifier.partition("://")[2], platform_in(request)
    question = ImageQuestion(ref, platform, request.ResolveMode, request.LogName, store)
    config = await sources.ask_image(question)
    response = gateway_pb2.ResolveSourceMetaResponse(
        Source=ops_pb2.SourceOp(identifier=f"{scheme}://{config.ref}", attrs=source.attrs),
        Image=gateway_pb2.ResolveSourceImageResponse(
            Digest=config.digest, Config=b"" if request.Image.NoConfig else config.config
        ),
    )
    image_request = request.Image
    if scheme == IMAGE and (image_request.AttestationChain or image_request.ResolveAttestations):
        types = list(image_request.ResolveAttestations)
        chain = await sources.attestations(replace(question, ref=config.ref), types)
        if chain is not None:
            response.Image.AttestationChain.CopyFrom(_chain(chain))
    return response


def _chain(chain: AttestationChain) -> gateway_pb2.AttestationChain:
    return gateway_pb2.AttestationChain(
        Root=chain.root,
        ImageManifest=chain.image_manifest,
        AttestationManifest=chain.attestation_manifest,
        SignatureManifests=chain.signature_manifests,
        Blobs={
            digest: gateway_pb2.Blob(
                descriptor=gateway_pb2.Descriptor(
                    media_type=blob.descriptor.media_type,
                    digest=digest,
                    size=blob.descriptor.size,
                    annotations=blob.descriptor.annotations,
                ),
                data=blob.data,
            )
            for digest, blob in chain.blobs.items()
        },
    )


def platform_in(
    request: gateway_pb2.ResolveImageConfigRequest | gateway_pb2.ResolveSourceMetaRequest,
) -> Platform | None:
    return platform_value(request.Platform) if request.HasField("Platform") else None
