"""Who did what on a bridge: each request to a frontend has a scope of its own, inside that of who
asked. Provenance is told from them.

Source: BuildKit `docs/attestations/slsa-provenance.md` (request, inputs, root).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from croze.api import ops_pb2
from croze.attest.capture import Capture, SortedCapture
from croze.attest.producers import Producers
from croze.attest.requests import AttestedRequest, RequestProvenance
from croze.gateway.requests import BridgeRequest
from croze.llb.definition import head
from croze.solver.solver import SolvedResult
from croze.sources.materials import ImageMaterial


class ScopedRef(Protocol):
    """A ref that a request had made (`results.BridgeRef`)."""

    @property
    def id(self) -> str:
        """The id by which a frontend names the ref on the wire."""

    @property
    def definition(self) -> ops_pb2.Definition:
        """The LLB that makes it."""

    @property
    def solved(self) -> SolvedResult | None:
        """What the definition came to, if it was evaluated."""

    def used(self) -> Capture | None:
        """What the result was made of; None if it was not evaluated."""


class RequestScope:
    """All that one request led to, and those that were made for it. `request` is None for a client
    that asks without a frontend; `root` is what the client asked the daemon."""

    def __init__(
        self,
        producers: Producers,
        request: BridgeRequest | None = None,
        root: BridgeRequest | None = None,
    ) -> None:
        self.images: list[ImageMaterial] = []
        """The images that were asked about."""
        self.refs: list[ScopedRef] = []
        self._producers = producers
        self._request = request
        self._root = root
        self._inner: list[RequestScope] = []
        self._told: list[tuple[str, RequestProvenance]] = []

    def within(self, request: BridgeRequest) -> RequestScope:
        """The scope of a request that is made from here to another frontend."""
        root = self._root if self._root is not None and _says(self._root) else self._request
        inner = RequestScope(self._producers, request, root)
        self._inner.append(inner)
        return inner

    def all_refs(self) -> Iterator[ScopedRef]:
        """The refs of this request and of all that were made from it."""
        yield from self.refs
        for inner in self._inner:
            yield from inner.all_refs()

    def all_images(self) -> Iterator[ImageMaterial]:
        """The images of this request and of all that were made from it."""
        yield from self.images
        for inner in self._inner:
            yield from inner.all_images()

    @property
    def attested_request(self) -> AttestedRequest | None:
        """What provenance tells of the request; None where the client asks without a frontend."""
        return self._attested(self._request) if self._request is not None else None

    def told(self, used: SortedCapture) -> RequestProvenance | None:
        """How provenance tells who asked for something that was made of what was `used`: the
        request, and with it the client's own if that is another one."""
        request, root = self.attested_request, None
        if self._root is not None and _says(self._root):
            root = self._attested(self._root)
        return request.told(used, root) if request is not None else None

    def tell(self, ref: ScopedRef) -> None:
        """Let others who take the ref's definition as an input know who made it, until `forget`."""
        name = head(ref.definition) if self._request is not None else ""
        provenance = self.told((ref.used() or Capture()).described()) if name else None
        if provenance is not None:
            self._producers.add(name, provenance)
            self._told.append((name, provenance))

    def forget(self) -> None:
        """Let go of refs, and of who made them: nobody can take what was made here any more."""
        for provenance in self._told:
            self._producers.remove(*provenance)
        self._told.clear()
        self.refs.clear()
        for inner in self._inner:
            inner.forget()

    def _attested(self, request: BridgeRequest) -> AttestedRequest:
        return AttestedRequest(request.frontend, request.opts, self._inputs(request.inputs))

    def _inputs(self, inputs: Mapping[str, ops_pb2.Definition]) -> Mapping[str, RequestProvenance]:
        producers = {name: self._producers.find(head(each)) for name, each in inputs.items()}
        return {
            name: provenance for name, provenance in producers.items() if provenance is not None
        }


def _says(request: BridgeRequest) -> bool:
    return bool(request.frontend or request.opts or request.inputs)
