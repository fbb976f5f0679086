"""Who did what on a bridge: each request to a frontend has a scope of its own, inside that of who
asked. Provenance is told from them.

Source: BuildKit `docs/attestations/slsa-provenance.md` (request, inputs, root).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from croze.api import ops_pb2
from croze.attest.capture import Capture, Described
from croze.attest.producers import Producers
from croze.attest.requests import Asked, RequestProvenance
from croze.llb.definition import head
from croze.sources.materials import ImageMaterial

if TYPE_CHECKING:
    from croze.gateway.contract import SolveRequest
    from croze.gateway.results import BridgeRef


class Scope:
    """What one request led to. `request` None: a client that asks without a frontend; `root` is
    what it asked the daemon."""

    def __init__(
        self,
        producers: Producers,
        request: SolveRequest | None = None,
        root: SolveRequest | None = None,
    ) -> None:
        self.images: list[ImageMaterial] = []
        """Those that were asked about."""
        self.refs: list[BridgeRef] = []
        self._producers = producers
        self._request = request
        self._root = root
        self._inner: list[Scope] = []
        self._told: list[tuple[str, RequestProvenance]] = []

    def within(self, request: SolveRequest) -> Scope:
        """That of another frontend that is asked from here."""
        root = self._root if self._root is not None and _says(self._root) else self._request
        inner = Scope(self._producers, request, root)
        self._inner.append(inner)
        return inner

    def all_refs(self) -> Iterator[BridgeRef]:
        yield from self.refs
        for inner in self._inner:
            yield from inner.all_refs()

    def all_images(self) -> Iterator[ImageMaterial]:
        yield from self.images
        for inner in self._inner:
            yield from inner.all_images()

    @property
    def asked(self) -> Asked | None:
        """The request, if a frontend was asked."""
        return self._asked(self._request) if self._request is not None else None

    def told(self, used: Described) -> RequestProvenance | None:
        """The request, and the client's own if that is another one, for something that was made of
        what was `used`."""
        asked, root = self.asked, None
        if self._root is not None and _says(self._root):
            root = self._asked(self._root)
        return asked.told(used, root) if asked is not None else None

    def tell(self, ref: BridgeRef) -> None:
        """Let others who take the ref's definition as an input know who made it, until `forget`."""
        name = head(ref.definition) if self._request is not None else ""
        told = self.told((ref.used() or Capture()).described()) if name else None
        if told is not None:
            self._producers.add(name, told)
            self._told.append((name, told))

    def forget(self) -> None:
        """Nobody can take what was made here any more."""
        for told in self._told:
            self._producers.remove(*told)
        self._told.clear()
        for inner in self._inner:
            inner.forget()

    def _asked(self, request: SolveRequest) -> Asked:
        return Asked(request.frontend, request.opts, self._inputs(request.inputs))

    def _inputs(self, inputs: Mapping[str, ops_pb2.Definition]) -> Mapping[str, RequestProvenance]:
        found = {name: self._producers.find(head(each)) for name, each in inputs.items()}
        return {name: told for name, told in found.items() if told is not None}


def _says(request: SolveRequest) -> bool:
    return bool(request.frontend or request.opts or request.inputs)
