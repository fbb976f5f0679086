"""What a request says of its exporters, besides their own attributes."""

from __future__ import annotations

import pytest

from croze.api import control_pb2
from croze.api.attrs import to_attrs
from croze.daemon.build.exports import asked_exports

EPOCH = "build-arg:SOURCE_DATE_EPOCH"


@pytest.mark.parametrize(
    ("epoch", "attrs", "found"),
    [
        ("1445412480", {"a": "b"}, {"a": "b", "source-date-epoch": "1445412480"}),
        ("", {}, {"source-date-epoch": ""}),
        ("1445412480", {"source-date-epoch": "7"}, {"source-date-epoch": "7"}),
        ("context", {}, {}),
        (None, {}, {}),
    ],
)
def test_the_epoch_is_every_exporters(
    epoch: str | None, attrs: dict[str, str], found: dict[str, str]
) -> None:
    build = {} if epoch is None else {EPOCH: epoch}
    request = control_pb2.SolveRequest(
        FrontendAttrs=to_attrs(build),
        Exporters=[
            control_pb2.Exporter(Type=kind, Attrs=to_attrs(attrs)) for kind in ("oci", "local")
        ],
    )
    assert asked_exports(request) == [("oci", found), ("local", found)]
    old = control_pb2.SolveRequest(
        FrontendAttrs=to_attrs(build),
        ExporterDeprecated="tar",
        ExporterAttrsDeprecated=to_attrs(attrs),
    )
    assert asked_exports(old) == [("tar", found)]
