"""What refers to a manifest: signatures and the like (OCI distribution-spec, referrers)."""

from __future__ import annotations

from croze.errors import CrozeError, NotFound
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.manifest import Index
from croze.registry import failures, pull, push
from croze.registry.client import Repository
from croze.registry.hosts import Endpoint


async def referrers(repo: Repository, digest: str) -> tuple[Descriptor, ...]:
    """What refers to a manifest, by the registry's list, or else by the tag that stands for one in
    older registries. None is fine."""
    error: CrozeError | None = None
    for endpoint in repo.endpoints():
        for ask in (_listed, _tagged):
            try:
                listed = await ask(repo, endpoint, digest)
            except CrozeError as err:
                error = err
                continue
            if listed is not None:
                return listed
    if error is not None:
        raise error.wrap(f"fetching referrers for attestation manifest {digest}")
    return ()


async def announce(repo: Repository, digest: str, referrer: Descriptor) -> None:
    """Have a manifest, pushed before, found by what it refers to. Registries that keep lists know
    by themselves; in others the tag that stands for the list gets it. Who does so for one subject
    at the same time overwrites the other, as the specification has it."""
    endpoint = repo.endpoints(push=True)[0]
    if await _listed(repo, endpoint, digest) is not None:
        return
    listed = await _tagged(repo, endpoint, digest) or ()
    if any(one.digest == referrer.digest for one in listed):
        return
    index = Index(media_type=media.OCI_INDEX, manifests=(*listed, referrer))
    await push.push_manifest(repo, manifests.marshal(index), media.OCI_INDEX, tag=_tag(digest))


async def _listed(
    repo: Repository, endpoint: Endpoint, digest: str
) -> tuple[Descriptor, ...] | None:
    """The referrers; None where there is no such list: registries that don't know of them say so in
    many ways."""
    try:
        data = await pull.get_small(repo, endpoint, f"referrers/{digest}")
    except (NotFound, failures.AccessRefused, pull.ManifestTooLarge):
        return None
    except failures.UnexpectedStatus as err:
        if err.status >= 500:
            raise
        return None
    return manifests.parse_index(data).manifests


async def _tagged(
    repo: Repository, endpoint: Endpoint, digest: str
) -> tuple[Descriptor, ...] | None:
    try:
        data = await pull.get_small(repo, endpoint, f"manifests/{_tag(digest)}")
    except NotFound:
        return None
    return manifests.parse_index(data).manifests


def _tag(digest: str) -> str:
    return digest.replace(":", "-")
