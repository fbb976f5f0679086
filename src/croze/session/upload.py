"""Bytes that a client uploads: what `http://buildkit-session/<id>` stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from croze.api.upload_pb2_grpc import UploadStub
from croze.rpc.clients import translated
from croze.session.contract import Session

HOST = "buildkit-session"


def is_upload(url: str) -> bool:
    """Whether a URL names an upload of the session instead of something on the network."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.netloc == HOST


async def pull(session: Session, url: str) -> AsyncIterator[bytes]:
    """The uploaded bytes, once: the client forgets them."""
    parts = urlsplit(url)
    metadata = (("urlpath", parts.path), ("urlhost", parts.netloc))
    with translated():
        call = UploadStub(session.channel).Pull(None, metadata=metadata)
        try:
            async for message in call:
                yield message.data
        finally:
            call.cancel()
