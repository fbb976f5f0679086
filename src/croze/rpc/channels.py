"""Every gRPC channel comes from here, so that all of them have the same limits.

They are what BuildKit and its clients take: 16 MiB in a message (they say so), 16 MiB in headers or
trailers (the default of Go's gRPC). The C core, which Python uses, takes 8 KiB of headers unless
told otherwise: too few for the patterns of a `.dockerignore`, which go to a session as headers, and
for the details of an error, which are a trailer and hold the whole Dockerfile.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from typing import Final, TypeAlias

import grpc
import grpc.aio

from croze.errors import Unsupported

Options: TypeAlias = Sequence[tuple[str, int | str]]

MESSAGE_LIMIT_BYTES: Final = 16 << 20
HEADERS_LIMIT_BYTES: Final = 16 << 20
"""Names, values (binary ones in base64) and 32 bytes for each, as RFC 9113 counts."""

_LIMITS: Options = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # Up to the first always, up to the second sometimes: there is to be no such luck.
    ("grpc.max_metadata_size", HEADERS_LIMIT_BYTES),
    ("grpc.absolute_max_metadata_size", HEADERS_LIMIT_BYTES),
)
_MOST: Final = 10_000
LOCAL: Options = (
    ("grpc.default_authority", "localhost"),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.so_reuseport", 0),
)
"""For what goes over a socket of this machine: no proxy, and no connection shared with others."""


class _Forks:
    """Which process uses gRPC."""

    def __init__(self) -> None:
        self._pid = 0

    def check(self) -> None:
        if self._pid not in (0, os.getpid()):
            raise Unsupported(
                "this process was forked from one that has connections, which gRPC does not "
                "survive: start processes by 'spawn' or 'forkserver'"
            )
        self._pid = os.getpid()


_forked = _Forks()


def open_channel(
    target: str,
    options: Options = (),
    *,
    credentials: grpc.ChannelCredentials | None = None,
    compression: grpc.Compression | None = None,
) -> grpc.aio.Channel:
    """A channel to a gRPC target; in the clear without credentials. Raises `Unsupported` in a
    process that was forked from one that had some: gRPC's threads are not there any more, and it
    would wait for them or crash."""
    _forked.check()
    every = (*_LIMITS, *options)
    if credentials is None:
        return grpc.aio.insecure_channel(target, every, compression)  # noqa: TID251
    return grpc.aio.secure_channel(target, credentials, every, compression)  # noqa: TID251


def most_connections() -> int:
    """Half of the descriptors that this process may have: the rest is for its work."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)
