"""Materials of a provenance as sources."""

from __future__ import annotations

import posixpath

from croze.api import ops_pb2
from croze.errors import CrozeError, InvalidRequest
from croze.image import purl, reference
from croze.image.platform import Platform
from croze.llb import giturl
from croze.policy.documents.document import Material
from croze.policy.documents.git import FULL_URL

Source = tuple[ops_pb2.SourceOp, Platform | None]


def material_source(material: Material) -> Source:
    """The source, and the platform if the material says which. Raises `CrozeError`."""
    uri = material.uri
    if uri.startswith("pkg:docker/"):
        return _image(material)
    try:
        url = giturl.parse_git_url(uri)
    except InvalidRequest:
        url = None
    if url is not None and (
        url.path.lower().endswith(".git") or url.scheme not in ("http", "https")
    ):
        return _git(uri, url), None
    if uri.startswith(("http://", "https://")):
        return ops_pb2.SourceOp(identifier=uri), None
    raise CrozeError(f'unsupported material URI "{uri}"')


def _image(material: Material) -> Source:
    text, platform = purl.image_of(material.uri)
    ref = reference.parse(text)
    digest = material.digest.get("sha256", "").strip()
    if digest:
        digest = digest if digest.startswith("sha256:") else f"sha256:{digest}"
        try:
            reference.check_digest(digest)
        except CrozeError:
            raise CrozeError(f'invalid material digest "{digest}" for "{material.uri}"') from None
        if ref.digest and ref.digest != digest:
            raise CrozeError(
                f'material digest mismatch for "{material.uri}": ref has {ref.digest} but '
                f"provenance has {digest}"
            )
        ref = ref.with_digest(digest)
    return ops_pb2.SourceOp(identifier=f"docker-image://{ref}"), platform


def _git(uri: str, url: giturl.GitUrl) -> ops_pb2.SourceOp:
    id = url.host + posixpath.normpath(posixpath.join("/", url.path))
    if url.ref or url.subdir:
        id += f"#{url.ref}" + (f":{url.subdir}" if url.subdir else "")
    return ops_pb2.SourceOp(identifier=f"git://{id}", attrs={FULL_URL: uri})
