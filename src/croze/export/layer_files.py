"""Which layer a file of an image is from."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from croze.export.contract import ExportServices
from croze.fs.tar.compress import open_reader
from croze.fs.tar.read import TarReader
from croze.store.contract import ImmutableRef

_WHITEOUT = ".wh."


def layer_names(path: str) -> list[str]:
    """The paths that a layer blob adds or changes, absolute. Runs in a worker process."""
    with open(path, "rb") as file:
        names = [posixpath.join("/", m.name) for m in TarReader(open_reader(file))]
    paths = (posixpath.normpath(name) for name in names)
    return [name for name in paths if not posixpath.basename(name).startswith(_WHITEOUT)]


class LayerFiles:
    """The files of one image's chain. Layers are looked into from the top, as far as is needed."""

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
        self._pending = list(chain)
        self._sessions = sessions
        self._found: dict[str, str] = {}

    async def find(self, name: str) -> str:
        """The digest of the topmost layer with the file; empty if there is none. A file that was
        deleted is from where it was made."""
        name = posixpath.normpath(posixpath.join("/", name))
        while name not in self._found and self._pending:
            digest = self._pending.pop()
            for each in await self._names(digest):
                self._found.setdefault(each, digest)
        return self._found.get(name, "")

    async def _names(self, digest: str) -> Sequence[str]:
        blobs = self._services.blobs
        if not blobs.has(digest):
            await self._ref.fetch_blob(digest, self._sessions)
        return await self._services.pool.run(layer_names, str(blobs.path(digest)))
