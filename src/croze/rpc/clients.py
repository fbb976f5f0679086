"""What callers share: a failed call raises its `CrozeError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import grpc.aio

from croze.rpc.status import from_rpc_error


@contextmanager
def translated() -> Iterator[None]:
    """Around a client's call: a failed call raises its `CrozeError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None
