"""Verification beside an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from croze.aio.threads import in_thread
from croze.api import gateway_pb2
from croze.image import platform as platforms

if TYPE_CHECKING:  # cryptography and its like are imported when something is to be verified
    from croze.sigstore.roots import Roots
    from croze.sigstore.verify import VerifiedSignature


class SigstoreVerifier:
    """Checks bundles in threads, against the trusted root in a file, if one is named, or the public
    instance's, which is kept below `state`."""

    def __init__(self, state: Path, trusted_root: str = "") -> None:
        self._state, self._trusted_root = state, trusted_root
        self._roots: Roots | None = None

    def _known(self) -> Roots:
        from croze.sigstore.roots import FileRoot, PublicRoot

        if self._roots is None:
            named = self._trusted_root
            self._roots = FileRoot(Path(named)) if named else PublicRoot(self._state)
        return self._roots

    async def verify_image(
        self, chain: gateway_pb2.AttestationChain, platform: str
    ) -> Mapping[str, object] | None:
        """See `croze.policy.contract.SignatureVerifier`."""
        return await in_thread(self._image, chain, platform)

    def _image(
        self, chain: gateway_pb2.AttestationChain, platform: str
    ) -> Mapping[str, object] | None:
        from croze.sigstore.images import verify_image

        verified = verify_image(chain, platforms.parse(platform), self._known().load())
        return verified.document() if verified is not None else None

    async def verify_artifact(self, digest: str, bundle: bytes) -> Mapping[str, object]:
        """See `croze.policy.contract.SignatureVerifier`: the bundle holds the file's provenance."""
        return await in_thread(self._artifact, digest, bundle)

    def _artifact(self, digest: str, bundle: bytes) -> Mapping[str, object]:
        from croze.sigstore.errors import NotVerified
        from croze.sigstore.images import SLSA
        from croze.sigstore.kinds import BUNDLE, CheckedSignature

        verified = self._verified(digest, bundle)
        if verified.predicate_type not in SLSA:
            raise NotVerified(
                f'unexpected predicate type "{verified.predicate_type}", expecting SLSA provenance'
            )
        return CheckedSignature(verified, BUNDLE).document()

    async def verify_data(self, digest: str, bundle: bytes) -> VerifiedSignature:
        """Who signed what has this digest, whatever it is. Raises `CrozeError`."""
        return await in_thread(self._verified, digest, bundle)

    def _verified(self, digest: str, bundle: bytes) -> VerifiedSignature:
        from croze.sigstore import bundle as bundles
        from croze.sigstore.verify import verify

        signed = bundles.parse(bundle)
        return verify(signed, digest, self._known().load())
