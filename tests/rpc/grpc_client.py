"""gRPC's own client: what our servers have to please."""

from __future__ import annotations

from collections.abc import Sequence

import grpc.aio

from croze.rpc.limits import HEADERS_LIMIT_BYTES, MESSAGE_LIMIT_BYTES

_LIMITS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # Up to the first always, up to the second sometimes: there is to be no such luck.
    ("grpc.max_metadata_size", HEADERS_LIMIT_BYTES),
    ("grpc.absolute_max_metadata_size", HEADERS_LIMIT_BYTES),
)


def open_channel(target: str, options: Sequence[tuple[str, int]] = ()) -> grpc.aio.Channel:
    """With the limits that BuildKit's clients have."""
    return grpc.aio.insecure_channel(target, (*_LIMITS, *options))  # noqa: TID251
