"""What sort of signature it is, by who signed: the words that policies and people see.

Rules: moby/policy-helpers `types`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from croze.gotypes.moments import rfc3339_of
from croze.sigstore.identity import FIELDS, ISSUER, NAME
from croze.sigstore.logs import Witness
from croze.sigstore.verify import VerifiedSignature

BUNDLE, SIMPLE = "bundle-v0.3", "simplesigning-v1"
_GITHUB = "https://github.com/"
_BUILDERS = (
    f"{_GITHUB}docker/github-builder/.github/workflows/",
    f"{_GITHUB}docker/github-builder-experimental/.github/workflows/",
)
_ACTIONS = "https://token.actions.githubusercontent.com"
_PUBLIC = "CN=sigstore-intermediate,O=sigstore.dev"


class CheckedSignature(Struct, frozen=True):
    """A signature that holds. `form`: how it is stored; `reference`: which image it says that it is
    of; `hardened`: of a Docker Hardened Image, by Docker's own key."""

    verified: VerifiedSignature
    form: str
    reference: str = ""
    hardened: bool = False

    @property
    def kind(self) -> str:
        signer = self.verified.signer
        if self.hardened and self.reference:
            return "docker-hardened-image"
        if signer.get(ISSUER) != _PUBLIC:
            return "untrusted"
        if self._by_docker(signer):
            return "docker-github-builder"
        return "self-signed-github-repo" if _by_repository(signer) else "self-signed"

    def _by_docker(self, signer: Mapping[str, str]) -> bool:
        return (
            signer.get("buildSignerURI", "").startswith(_BUILDERS)
            and signer.get(NAME, "").startswith(_BUILDERS)
            and _on_github(signer)
            and bool(self.verified.witnesses)
            and self.form == BUNDLE
        )

    def document(self) -> dict[str, object]:
        """The signature as policies see it (docker/buildx `policy/types.go`)."""
        members: dict[str, object] = {"kind": self.kind, "type": self.form}
        if self.verified.witnesses:
            members["timestamps"] = [_shown(each) for each in self.verified.witnesses]
        if self.reference:
            members["dockerReference"] = self.reference
        if self.hardened:
            members["isDHI"] = True
        signer = self.verified.signer
        if signer:
            members["signer"] = {name: signer[name] for name in FIELDS if name in signer}
        return members


def _on_github(signer: Mapping[str, str]) -> bool:
    return (
        signer.get("issuer") == _ACTIONS
        and signer.get("sourceRepositoryURI", "").startswith(_GITHUB)
        and signer.get("runnerEnvironment") == "github-hosted"
    )


def _by_repository(signer: Mapping[str, str]) -> bool:
    """Whether a workflow of the repository that was built has signed."""
    own = f"{signer.get('sourceRepositoryURI', '')}/.github/workflows/"
    return (
        _on_github(signer)
        and signer.get("buildSignerURI", "").startswith(own)
        and signer.get(NAME, "").startswith(own)
    )


def _shown(witness: Witness) -> dict[str, object]:
    moment = rfc3339_of(witness.moment)
    return {"type": witness.kind, "uri": witness.uri, "timestamp": moment}
