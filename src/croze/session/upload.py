"""Bytes that a client uploads: what `http://buildkit-session/<id>` stands for."""

from __future__ import annotations

from collections.abc import AsyncIterator

from croze.api import upload_pb2
from croze.http.urls import parse_url
from croze.session.contract import Session
from croze.session.messages import decode

METHOD = "/moby.upload.v1.Upload/Pull"
HOST = "buildkit-session"


def is_upload(url: str) -> bool:
    """Whether a URL names an upload of the session instead of something on the network."""
    parts = parse_url(url)
    return parts.scheme == "http" and parts.netloc == HOST


async def pull(session: Session, url: str) -> AsyncIterator[bytes]:
    """The uploaded bytes, once: the client forgets them."""
    parts = parse_url(url)
    metadata = (("urlpath", parts.path), ("urlhost", parts.netloc))
    async with session.calls.stream(METHOD, metadata) as call:
        while batch := await call.receive():
            for message in batch:
                yield decode(upload_pb2.BytesMessage, message).data
