"""A file that is read while it is written, by another process."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_NEWS_BYTES = 64 << 10


class ArrivingFile(io.RawIOBase):
    """Waits at the end of what there is. `news` is the path of a pipe into which something is
    written with every piece, and which is closed after the last."""

    def __init__(self, path: str, news: str) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - `close` does
        # Not to wait for who writes, who may have left already.
        self._news = os.open(news, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.set_blocking(self._news, True)
        self._is_whole = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """At least a byte, unless it is the end."""
        while not (count := self._file.readinto(buffer)) and not self._is_whole:
            self._is_whole = not os.read(self._news, _NEWS_BYTES)
        return count or 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Idempotent."""
        if not self.closed:
            self._file.close()
            os.close(self._news)
        super().close()
