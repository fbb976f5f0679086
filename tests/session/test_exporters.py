"""A client that adds exporters, one that refuses, and one that knows nothing of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from croze import errors
from croze.api import exporter_pb2 as pb
from croze.api.attrs import of_attrs, to_attrs
from croze.rpc.servers import Context
from croze.session.exporters import finalize_export, find_exporters
from croze.session.lent_service import Handler, unary
from croze.session.providers.upload import UploadProvider
from tests.session.conftest import Lend


class Exporters:
    service = "moby.exporter.v1.Exporter"

    def __init__(self, error: errors.CrozeError | None = None) -> None:
        self.found: pb.FindExportersRequest | None = None
        self.response: dict[str, str] | None = None
        self.finalized = 0
        self._error = error

    def methods(self) -> Mapping[str, Handler]:
        return {
            "FindExporters": unary(self._find, pb.FindExportersRequest),
            "FinalizeExport": unary(self._finalize, pb.FinalizeExportRequest),
        }

    async def _find(
        self, request: pb.FindExportersRequest, context: Context
    ) -> pb.FindExportersResponse:
        self.found = request
        return pb.FindExportersResponse(
            exporters=[pb.ExporterRequest(Type="oci", Attrs=to_attrs({"compression": "zstd"}))]
        )

    async def _finalize(
        self, request: pb.FinalizeExportRequest, context: Context
    ) -> pb.FinalizeExportResponse:
        self.response = dict(request.exporter_response)
        self.finalized += 1
        if self._error is not None:
            raise self._error
        return pb.FinalizeExportResponse()


async def test_a_client_adds_exporters(lending: Lend) -> None:
    client = Exporters()
    async with lending([client]) as session:
        (found,) = await find_exporters(session, {"k": b"v"}, ["ref"])
        await finalize_export(session, {"containerimage.digest": "sha256:1"})
    assert (found.Type, of_attrs(found.Attrs)) == ("oci", {"compression": "zstd"})
    assert client.found == pb.FindExportersRequest(metadata={"k": b"v"}, refs=["ref"])
    assert client.response == {"containerimage.digest": "sha256:1"}


async def test_an_error_of_the_client_is_one_of_the_build(lending: Lend) -> None:
    async with lending([Exporters(errors.CrozeError("no thanks"))]) as session:
        with pytest.raises(errors.CrozeError, match="no thanks"):
            await finalize_export(session, {})


async def test_a_client_that_knows_nothing_of_exporters_adds_none(lending: Lend) -> None:
    async with lending([UploadProvider()]) as session:
        assert await find_exporters(session, {}, []) == ()
        await finalize_export(session, {})


async def test_who_can_t_answer_is_not_asked_again(lending: Lend) -> None:
    busy = Exporters(errors.Unavailable("busy"))
    async with lending([busy]) as session:
        await finalize_export(session, {"key": "value"})
    assert (busy.finalized, busy.response) == (1, {"key": "value"})
