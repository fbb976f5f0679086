"""Messages of a client, which may be anything."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from croze.rpc.status import from_status, status
from croze.session.contract import R

_INTERNAL = 13


def decode(kind: type[R], data: bytes) -> R:
    """The message of this kind in its bytes. Raises a `CrozeError` of code `INTERNAL` for what is
    none."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        message = f"failed to unmarshal the received message: {kind.__name__}: {error}"
        raise from_status(status(_INTERNAL, message)) from None
