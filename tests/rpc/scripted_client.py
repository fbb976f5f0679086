"""A client whose frames are written by hand."""

from __future__ import annotations

from hpack import Decoder, Encoder

from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_frames
from croze.rpc.http2.server import Allowance, ServerConnection, ServerStream
from tests.rpc.raw_frames import parsed

HELLO = frames.PREFACE + frames.settings({})
CALL = {":method": "POST", ":path": "/a/B", "content-type": "application/grpc"}


class Peer:
    """A client: its frames, and what it is answered."""

    def __init__(
        self, hello: bytes = HELLO, streams: int = 100, allowance: Allowance | None = None
    ) -> None:
        self.calls: list[ServerStream] = []
        self.cancelled: list[int] = []
        self.http = ServerConnection(self._begin, streams=streams, allowance=allowance)
        self._encoder, self._decoder = Encoder(), Decoder()
        self.http.receive(hello)
        self.http.outgoing()

    def _begin(self, stream: ServerStream) -> None:
        self.calls.append(stream)
        stream.on_cancel = lambda: self.cancelled.append(stream.number)

    def call(self, number: int = 1, *, end: bool = False, **more: str) -> ServerStream:
        self.http.receive(self.headers(number, {**CALL, **more}, end=end))
        return self.calls[-1]

    def headers(self, number: int, headers: dict[str, str], *, end: bool = False) -> bytes:
        return header_frames(number, self._encoder.encode(headers.items()), 20, end_stream=end)

    def sent(self) -> list[tuple[int, int, int, bytes]]:
        """Kind, flags, stream and payload of the frames that have been sent."""
        return list(parsed(self.http.outgoing()))

    def told(self) -> list[tuple[int, int, dict[str, str]]]:
        """Flags, stream and headers of the header blocks that have been sent."""
        return [
            (flags, number, {str(k): str(v) for k, v in self._decoder.decode(payload)})
            for kind, flags, number, payload in self.sent()
            if kind == frames.HEADERS
        ]
