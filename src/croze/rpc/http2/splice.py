"""An HTTP/2 connection of a client, passed on to gRPC's own server but for a few streams.

gRPC's server in Python takes a tenth of a millisecond for each message, whatever is in it, and a
session sends one for each file of a tree. So the data of such calls are taken out of the connection
on their way, and put into it. All else is passed on as it is: the server sees calls that neither
send nor get a message, answers them, and ends them.

The two ends count what may be sent on the connection (RFC 9113, 5.2), and the server does not know
of what it does not see. So it is counted here too: credit for what is taken out is given here;
credit for what is put in is kept from the server; and what either end may not get yet is held back.

A header block is decoded to see what is called. One that can't be, or is too large to be worth it,
is passed on, as the server is who refuses; from then on no stream of that connection is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hpack import Decoder
from hpack.exceptions import HPACKError

from croze.rpc.http2 import frames
from croze.rpc.http2.blocks import header_block
from croze.rpc.http2.frames import Code
from croze.rpc.http2.sieve import FRAME_BYTES, Frames, Taken, Way

BLOCK_BYTES: Final = 64 << 10
"""Header blocks up to this size are looked into."""
WINDOW_BYTES: Final = 4 << 20
"""What a client may send of a call that is taken, and of the connection besides what the server
allows."""
_CREDIT_BYTES: Final = 256 << 10
MOST_BYTES: Final = 64 << 20
"""No client that keeps to its windows has so much under way."""
MOST_TAKEN: Final = 100
"""So many calls at once; others go all the way through the server."""


class Splice:
    """The connection. `wanted` is asked about each call with a body, by its path; it answers with
    what the server's end gets as one more header of it, if its data are to be taken."""

    def __init__(self, wanted: Callable[[str, Taken], tuple[str, str] | None]) -> None:
        self._wanted = wanted
        self._decoder: Decoder | None = Decoder(max_header_list_size=BLOCK_BYTES)
        self._taken: dict[int, Taken] = {}
        self._to_server, self._to_client = Way(), Way()
        self._client = Frames(
            self._client_frame,
            self._client_data,
            self._to_server,
            self.break_off,
            self.close,
            frames.PREFACE,
        )
        self._server = Frames(
            self._server_frame, self._server_data, self._to_client, self.break_off, self.close
        )
        self._block: list[bytes] = []
        self._block_bytes = 0
        self._block_flags = 0
        self._initial = frames.DEFAULT_WINDOW
        self._largest = frames.DEFAULT_FRAME
        self._uncredited = 0
        self._lent = False
        self._fresh: list[Taken] = []
        """Calls whose clients have not been told yet how much they may send."""
        self._greeted = False
        self._roomy = False
        """There may be more room to send."""
        self._put_in = 0
        """Bytes that were put in and that the client has given no credit for."""
        self._last = 0
        """The call that was begun last: the server passes over those with lower numbers."""

    # -- the way through --

    def from_client(self, data: bytes) -> None:
        self._client.work_off(data)
        self._credit()
        if self._roomy:
            self._roomy = False
            for taken in list(self._taken.values()):
                taken.on_room()

    def from_server(self, data: bytes) -> None:
        self._server.work_off(data)

    def to_client(self) -> bytes:
        return self._to_client.take()

    def to_server(self) -> bytes:
        return self._to_server.take()

    @property
    def held_from_client(self) -> int:
        return self._to_server.held_bytes

    @property
    def held_from_server(self) -> int:
        return self._to_client.held_bytes

    def take(self, taken: Taken) -> list[bytes]:
        """The messages that have come; the client may send as much again."""
        messages = taken.incoming.take()
        waited, taken.waiting = taken.waiting, 0
        self._credit_call(taken, waited)
        return messages

    def put(self, taken: Taken, data: memoryview) -> int:
        """Send as much as may go of messages that have their prefixes; how much that was."""
        sent = 0
        if not taken.answered or taken.over or self._to_client.held:
            return 0
        while room := min(taken.may_send, self._to_client.window, self._largest, len(data) - sent):
            if room < 0:
                break
            head = frames.head.pack(room << 8 | frames.DATA, 0, taken.number)
            self._to_client.put_in(head, data[sent : sent + room])
            sent += room
            taken.may_send -= room
            self._to_client.window -= room
            self._put_in += room
        return sent

    def break_off(self, taken: Taken, code: Code) -> None:
        """End a call from here, at both ends."""
        if self._taken.pop(taken.number, None) is not None:
            reset = frames.rst_stream(taken.number, code)
            self._to_client.put_in(reset)
            self._to_server.put_in(reset)
            taken.end(over=True)

    def close(self) -> None:
        """There is no connection any more."""
        for taken in self._taken.values():
            taken.end(over=True)
        self._taken.clear()

    # -- from the client --

    def _client_data(self, number: int, length: int, flags: int) -> Taken | None:
        """A DATA frame begins."""
        taken = self._taken.get(number)
        if taken is None or flags & frames.PADDED:
            if taken is not None:
                self.break_off(taken, Code.PROTOCOL_ERROR)  # nobody pads these
            return None
        self._uncredited += length
        taken.waiting += length
        if taken.waiting > MOST_BYTES:
            self.break_off(taken, Code.FLOW_CONTROL_ERROR)
        return taken

    def _client_frame(self, kind: int, flags: int, number: int, whole: bytes) -> bytes:
        """What is passed on of a frame."""
        payload = whole[frames.HEAD_BYTES :]
        match kind:
            case frames.HEADERS | frames.CONTINUATION:
                return self._client_headers(kind, flags, number, whole, payload)
            case frames.SETTINGS if not flags & frames.ACK:
                self._client_settings(payload)
            case frames.WINDOW_UPDATE if len(payload) == 4:
                return self._client_window(number, whole, frames.word.unpack(payload)[0])
            case frames.RST_STREAM:
                if (taken := self._taken.pop(number, None)) is not None:
                    taken.end(over=True)
        return whole

    def _client_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload) - 5, 6):
            name, value = frames.setting.unpack_from(payload, at)
            if name == frames.INITIAL_WINDOW_SIZE:
                for taken in self._taken.values():
                    taken.may_send += value - self._initial
                self._initial = value
                self._roomy = True
            elif name == frames.MAX_FRAME_SIZE:
                self._largest = max(frames.DEFAULT_FRAME, min(value, FRAME_BYTES))

    def _client_window(self, number: int, whole: bytes, more: int) -> bytes:
        more &= frames.LARGEST_WINDOW
        if number:
            if (taken := self._taken.get(number)) is None:
                return whole
            taken.may_send += more
            taken.on_room()
            return b""
        ours = min(more, self._put_in)
        self._put_in -= ours
        self._to_client.widen(more)
        self._roomy = True
        rest = more - ours
        return frames.window_update(0, rest) if rest or not more else b""

    def _client_headers(
        self, kind: int, flags: int, number: int, whole: bytes, payload: bytes
    ) -> bytes:
        if self._decoder is None:
            return whole
        if kind == frames.HEADERS:
            self._block, self._block_bytes, self._block_flags = [], 0, flags
            payload = _fragment(flags, payload)
        self._block.append(payload)
        self._block_bytes += len(payload) + frames.HEAD_BYTES
        if self._block_bytes > BLOCK_BYTES:
            self._decoder = None
        elif flags & frames.END_HEADERS:
            header = self._called(number)
            if header is not None:
                more = header_block((header,))
                last = frames.frame(frames.CONTINUATION, frames.END_HEADERS, number, more)
                return whole[:4] + bytes((flags & ~frames.END_HEADERS,)) + whole[5:] + last
        return whole

    def _called(self, number: int) -> tuple[str, str] | None:
        """The header that is to be added to a call which is to be taken."""
        assert self._decoder is not None
        try:
            headers = {str(h[0]): str(h[1]) for h in self._decoder.decode(b"".join(self._block))}
        except (HPACKError, UnicodeDecodeError):
            self._decoder = None
            return None
        finally:
            self._block = []
        if number in self._taken:  # trailers
            self._taken[number].end(over=False)
            return None
        fresh = number % 2 == 1 and number > self._last
        self._last = max(self._last, number)
        if self._block_flags & frames.END_STREAM or not fresh or len(self._taken) >= MOST_TAKEN:
            return None
        taken = Taken(number, self._initial)
        header = self._wanted(headers.get(":path", ""), taken)
        if header is not None:
            self._taken[number] = taken
            self._fresh.append(taken)
        return header

    def _credit(self) -> None:
        """Allow the client as much as was taken out; with the first call that is taken, more."""
        if not self._greeted:
            return
        if self._taken and not self._lent:
            self._lent = True
            self._uncredited += WINDOW_BYTES
        if self._uncredited >= _CREDIT_BYTES:
            self._to_client.put_in(frames.window_update(0, self._uncredited))
            self._uncredited = 0
        for taken in self._fresh:
            self._credit_call(taken, WINDOW_BYTES)
        self._fresh.clear()

    def _credit_call(self, taken: Taken, more: int) -> None:
        taken.uncredited += more
        if taken.uncredited >= _CREDIT_BYTES and not taken.ended:
            self._to_client.put_in(frames.window_update(taken.number, taken.uncredited))
            taken.uncredited = 0

    # -- from the server --

    def _server_data(self, number: int, length: int, flags: int) -> Taken | None:
        """All is passed on; of calls that are taken there should be none."""
        if (taken := self._taken.get(number)) is not None:
            taken.may_send -= length
            if flags & frames.END_STREAM:
                self._over(number)
        return None

    def _server_frame(self, kind: int, flags: int, number: int, whole: bytes) -> bytes:
        self._greeted = True
        match kind:
            case frames.WINDOW_UPDATE if number == 0 and len(whole) == frames.HEAD_BYTES + 4:
                more = frames.word.unpack_from(whole, frames.HEAD_BYTES)[0]
                self._to_server.widen(more & frames.LARGEST_WINDOW)
            case frames.SETTINGS if not flags & frames.ACK:
                self._server_settings(whole[frames.HEAD_BYTES :])
            case frames.RST_STREAM:
                self._over(number)
            case frames.HEADERS if flags & frames.END_STREAM:
                self._over(number)
            case frames.HEADERS if number in self._taken:
                self._taken[number].answered = True
                self._taken[number].on_room()
        return whole

    def _server_settings(self, payload: bytes) -> None:
        for at in range(0, len(payload) - 5, 6):
            name, value = frames.setting.unpack_from(payload, at)
            if name == frames.HEADER_TABLE_SIZE and self._decoder is not None:
                self._decoder.max_allowed_table_size = value

    def _over(self, number: int) -> None:
        if (taken := self._taken.pop(number, None)) is not None:
            taken.end(over=True)


def _fragment(flags: int, payload: bytes) -> bytes:
    """The header block in a HEADERS frame; anything, if the frame is none."""
    if flags & frames.PADDED and payload:
        payload = payload[1 : max(1, len(payload) - payload[0])]
    return payload[5:] if flags & frames.WITH_PRIORITY else payload
