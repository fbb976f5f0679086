"""What refers to a manifest: signatures and the like (OCI distribution-spec, referrers)."""

from __future__ import annotations

from croze.errors import CrozeError, NotFound
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.registry import failures, pull
from croze.registry.client import Repository


async def referrers(repo: Repository, digest: str) -> tuple[Descriptor, ...]:
    """By the registry's list, or else by the tag that stands for one in older registries. None is
    fine."""
    error: CrozeError | None = None
    for endpoint in repo.endpoints():
        for path in (f"referrers/{digest}", f"manifests/{digest.replace(':', '-')}"):
            try:
                data = await pull.get_small(repo, endpoint, path)
                return manifests.parse_index(data).manifests
            except NotFound:
                continue
            except failures.UnexpectedStatus as err:
                # Registries that don't know of lists say so in many ways.
                error = err if err.status >= 500 else error
            except CrozeError as err:
                error = err
    if error is not None:
        raise error.wrap(f"fetching referrers for attestation manifest {digest}")
    return ()
