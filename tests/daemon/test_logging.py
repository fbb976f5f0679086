"""What is worth a line in the daemon's log."""

from __future__ import annotations

import logging

from grpc._cython import cygrpc  # type: ignore[attr-defined]

from croze.daemon.main import _is_of_ours


def test_a_peer_that_has_gone_is_no_error_of_ours() -> None:
    log, told = logging.getLogger("grpc._cython.cygrpc"), []
    for error in (cygrpc.ExecuteBatchError("gone"), ValueError("ours"), None):
        info = (type(error), error, None) if error is not None else None
        record = log.makeRecord(log.name, logging.ERROR, "", 0, "failed", (), info)
        told.append(_is_of_ours(record))
    assert told == [False, True, True]
