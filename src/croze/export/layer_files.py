"""Which layer a file of an image is from."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Sequence

from croze.export.contract import ExportServices
from croze.fs.tar.compress import open_reader
from croze.fs.tar.read import TarReader
from croze.store.contract import ImmutableRef

_WHITEOUT = ".wh."


def layer_names(path: str, candidates: Collection[str]) -> list[str]:
    """Which of some absolute paths a layer blob adds or changes. Runs in a worker process."""
    with open(path, "rb") as file:
        names = {_absolute(member.name) for member in TarReader(open_reader(file))}
    return [name for name in candidates if name in names]


def _absolute(name: str) -> str:
    return posixpath.normpath(posixpath.join("/", name))


class LayerFiles:
    """The files of one image's chain."""

    def __init__(
        self,
        services: ExportServices,
        ref: ImmutableRef,
        chain: Sequence[str],
        sessions: Sequence[str],
    ) -> None:
        """`chain`: digests of the layer blobs, base first."""
        self._services = services
        self._ref = ref
        self._chain = tuple(chain)
        self._sessions = sessions

    async def of(self, names: Collection[str]) -> dict[str, str]:
        """The digest of the topmost layer with each of these files, as far as there is one. A file
        that was deleted is from where it was made. Layers are looked into from the top, as far as
        is needed."""
        paths = {_absolute(name) for name in names}
        missing = {path for path in paths if not posixpath.basename(path).startswith(_WHITEOUT)}
        digests: dict[str, str] = {}
        for digest in reversed(self._chain):
            if not missing:
                break
            digests |= dict.fromkeys(await self._names(digest, missing), digest)
            missing -= digests.keys()
        return {name: digests[path] for name in names if (path := _absolute(name)) in digests}

    async def _names(self, digest: str, candidates: Collection[str]) -> Sequence[str]:
        blobs = self._services.blobs
        if not blobs.has(digest):
            await self._ref.fetch_blob(digest, self._sessions)
        return await self._services.pool.run(layer_names, str(blobs.path(digest)), candidates)
