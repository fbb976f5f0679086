"""What must be asked for before a policy can decide."""

from __future__ import annotations

import pytest

from croze.api import gateway_pb2, ops_pb2
from croze.errors import CrozeError
from croze.policy.documents.document import InputDocument, Material
from croze.policy.documents.sources import DocumentReader
from croze.policy.metadata import Needs, Resolving

MATERIALS = "input.image.provenance.materials"
SOURCE = ops_pb2.SourceOp(identifier="docker-image://x")


def log(level: int, message: str) -> None:
    """Nobody reads it."""


class Daemon:
    """Knows of each source that it is one; remembers what it was asked."""

    def __init__(self, error: CrozeError | None = None) -> None:
        self.error = error
        self.asked: list[gateway_pb2.ResolveSourceMetaRequest] = []

    async def ask(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return gateway_pb2.ResolveSourceMetaResponse(Source=request.Source)


def image() -> InputDocument:
    """One that was made of a repository and of a file."""
    raw = [Material("https://x.example/a.git", {}), Material("https://x.example/f", {})]
    return InputDocument("image", raw_materials=raw, materials=[InputDocument(), InputDocument()])


async def needs(document: InputDocument, daemon: Daemon | None, *names: str) -> Needs:
    resolving = Resolving(DocumentReader(log, None), daemon.ask if daemon else None, log)
    return await resolving.needs(document, SOURCE, names, None, None)


async def test_the_source_itself_is_the_callers_to_ask_for() -> None:
    daemon = Daemon()
    found = await needs(image(), daemon, "input.image.labels", f"{MATERIALS}[0].git.commit")
    assert found.request is not None
    assert (found.request.Source, found.request.HasField("Image")) == (SOURCE, True)
    assert daemon.asked == []


async def test_a_material_is_asked_for_and_known_then() -> None:
    daemon, document = Daemon(), image()
    names = "input.image", f"{MATERIALS}[0].git.commit", f"{MATERIALS}[1].http.checksum"
    assert await needs(document, daemon, *names) == Needs(changed=True)
    (request,) = daemon.asked
    assert request.Git.ReturnObject
    assert [each.kind for each in document.materials] == ["git", ""], "one at a time"


@pytest.mark.parametrize(
    "name", ["input.image", f"{MATERIALS}[0]", f"{MATERIALS}[2].git.commit", f"{MATERIALS}[0].git"]
)
async def test_there_is_nothing_to_ask_for(name: str) -> None:
    daemon = Daemon()
    assert await needs(image(), daemon, name) == Needs()
    assert daemon.asked == []


async def test_materials_that_can_not_be_asked_for() -> None:
    name = f"{MATERIALS}[0].git.commit"
    with pytest.raises(CrozeError, match="requires source resolver"):
        await needs(image(), None, name)
    with pytest.raises(CrozeError, match="failed to resolve source metadata for material: gone"):
        await needs(image(), Daemon(CrozeError("gone")), name)
    with pytest.raises(CrozeError, match=r"unhandled unknown property git\.nothing"):
        await needs(image(), Daemon(), f"{MATERIALS}[0].git.nothing")
