"""What must be asked of the daemon so that a policy knows what it wants to know."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct

from croze.api import gateway_pb2, ops_pb2
from croze.errors import CrozeError
from croze.image.platform import Platform
from croze.policy.contract import DEBUG
from croze.policy.documents.document import InputDocument, Log
from croze.policy.documents.materials import material_source
from croze.policy.documents.provenance import V02, V1
from croze.policy.documents.sources import DocumentReader

_KINDS = ("image", "git", "http", "local")
_MATERIAL = re.compile(r"image\.provenance\.materials\[(\d+)\]\.?(.*)", re.DOTALL)
_CONFIG = frozenset(
    f"image.{name}" for name in ("checksum", "labels", "user", "volumes", "workingDir", "env")
)
_ATTESTED = frozenset({"image.hasProvenance", "image.signatures"})
_GIT = frozenset(
    f"git.{name}"
    for name in ("ref", "checksum", "commitChecksum", "isAnnotatedTag", "isSHA256", "tagName")
) | {"git.branch"}
_GIT_OBJECTS = frozenset({"git.commit", "git.tag"})

Ask = Callable[
    [gateway_pb2.ResolveSourceMetaRequest], Awaitable[gateway_pb2.ResolveSourceMetaResponse]
]


def add_unknowns(
    request: gateway_pb2.ResolveSourceMetaRequest, names: Iterable[str], log: Log
) -> None:
    """Extend a request to what answers these. Raises `CrozeError` for a name that nothing does."""
    fields = [name for name in names if name not in _KINDS]
    if not fields:
        return
    log(DEBUG, f"collected unknowns: {shown(fields)}")
    for name in fields:
        _add(request, name)


def _add(request: gateway_pb2.ResolveSourceMetaRequest, name: str) -> None:
    if name == "image.provenance" or name.startswith("image.provenance."):
        _attested(request)
        for kind in (V02, V1):
            if kind not in request.Image.ResolveAttestations:
                request.Image.ResolveAttestations.append(kind)
    elif name in _CONFIG:
        request.Image.NoConfig = False
        request.Image.SetInParent()
    elif name in _ATTESTED:
        _attested(request)
    elif name in _GIT or name in _GIT_OBJECTS:
        request.Git.SetInParent()
        request.Git.ReturnObject |= name in _GIT_OBJECTS
    elif name != "http.checksum":  # the daemon always tells that one
        raise CrozeError(f"unhandled unknown property {name}")


def _attested(request: gateway_pb2.ResolveSourceMetaRequest) -> None:
    if not request.HasField("Image"):
        request.Image.NoConfig = True
    request.Image.AttestationChain = True


def shown(names: Iterable[str]) -> str:
    """Names as Go prints a list."""
    return f"[{' '.join(names)}]"


def summary(names: Iterable[str]) -> str:
    """Names for the log: signatures and provenance as wholes."""
    out: list[str] = []
    for name in names:
        name = name.removeprefix("input.")
        for whole in ("image.signatures", "image.provenance"):
            if name.startswith(whole):
                name = whole
        if name != "image" and name not in out:
            out.append(name)
    return shown(out)


def platform_message(platform: Platform) -> ops_pb2.Platform:
    """The platform as buildx asks for its image: whatever the version and features of its OS."""
    return ops_pb2.Platform(
        OS=platform.os, Architecture=platform.architecture, Variant=platform.variant
    )


class Needs(Struct, frozen=True):
    """What a policy needs to know: `request` is for the daemon to answer with the next question;
    without it, the document has been completed if it has `changed`."""

    changed: bool = False
    request: gateway_pb2.ResolveSourceMetaRequest | None = None


class Resolving:
    """Finds out what is missing in one document."""

    def __init__(self, reader: DocumentReader, ask: Ask | None, log: Log) -> None:
        self._reader = reader
        self._ask = ask
        self._log = log

    async def needs(
        self,
        document: InputDocument,
        source: ops_pb2.SourceOp,
        names: Sequence[str],
        platform: Platform | None,
        asked_platform: ops_pb2.Platform | None,
    ) -> Needs:
        """What is still to be asked: of the source that is decided on the caller asks, of materials
        we do.

        Raises `CrozeError`.
        """
        plain = list(dict.fromkeys(name.removeprefix("input.") for name in names))
        own = [name for name in plain if not _MATERIAL.match(name)]
        request = self._request(source, platform, own, asked_platform)
        if request is not None:
            return Needs(request=request)
        changed = await self._materials(document, plain, platform)
        return Needs(changed)

    def _request(
        self,
        source: ops_pb2.SourceOp,
        platform: Platform | None,
        names: Sequence[str],
        asked_platform: ops_pb2.Platform | None,
    ) -> gateway_pb2.ResolveSourceMetaRequest | None:
        if not names:
            return None
        request = gateway_pb2.ResolveSourceMetaRequest(Source=source)
        if platform is not None:
            request.Platform.CopyFrom(platform_message(platform))
        elif asked_platform is not None:
            request.Platform.CopyFrom(asked_platform)
        add_unknowns(request, names, self._log)
        asks = request.HasField("Image") or request.HasField("Git")
        return request if asks or any(name.startswith("http.") for name in names) else None

    async def _materials(
        self, document: InputDocument, names: Sequence[str], platform: Platform | None
    ) -> bool:
        """Whether one of them knows more now. One at a time: what it says may settle the rest."""
        below: dict[int, list[str]] = {}
        for name in names:
            match = _MATERIAL.match(name)
            if match and match[2]:
                below.setdefault(int(match[1]), []).append(match[2])
        for index, inner in below.items():
            if index < len(document.materials) and await self._material(
                document, index, inner, platform
            ):
                return True
        return False

    async def _material(
        self, document: InputDocument, index: int, names: Sequence[str], platform: Platform | None
    ) -> bool:
        source, own = material_source(document.raw_materials[index])
        platform = own or platform
        direct = [name for name in names if not _MATERIAL.match(name)]
        request = self._request(source, platform, direct, None)
        if request is None:
            return await self._materials(document.materials[index], names, platform)
        if self._ask is None:
            raise CrozeError("material metadata resolution requires source resolver")
        try:
            answer = await self._ask(request)
        except CrozeError as error:
            raise error.wrap("failed to resolve source metadata for material") from None
        try:
            document.materials[index] = await self._reader.document(answer, platform)
        except CrozeError as error:
            raise error.wrap("failed to rebuild material input") from None
        return True
