"""A file that is read while it is written, by another process."""

from __future__ import annotations

import io
import os
import select
import time
from typing import TYPE_CHECKING, Final

from croze.errors import CrozeError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATIENCE_S: Final = 5.0
"""How long the rest is waited for in all: it was said to come soon, and who waits is not to be had
by others."""
_NEWS_BYTES = 64 << 10


class ArrivesTooSlowly(CrozeError):
    """The rest of a file that is read while it is written is long in coming."""


class ArrivingFile(io.RawIOBase):
    """Waits at the end of what there is; reading raises `ArrivesTooSlowly`. `news` is the path of a
    pipe into which something is written with every piece, and which is closed after the last."""

    def __init__(self, path: str, news: str) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - `close` does
        # Not to wait for who writes, who may have left already.
        self._news = os.open(news, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._has_news = select.poll()
        self._has_news.register(self._news, select.POLLIN)
        self._patience_s = PATIENCE_S
        self._is_whole = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read at least a byte, unless it is the end."""
        while not (count := self._file.readinto(buffer)) and not self._is_whole:
            self._is_whole = self._ends()
        return count or 0

    def _ends(self) -> bool:
        """Wait until there is more, or nothing more will be."""
        begun_s = time.monotonic()
        if not self._has_news.poll(max(0.0, self._patience_s) * 1000):
            raise ArrivesTooSlowly("the rest of the blob has not come yet")
        self._patience_s -= time.monotonic() - begun_s
        return not os.read(self._news, _NEWS_BYTES)

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file and the pipe. Idempotent."""
        if not self.closed:
            self._file.close()
            os.close(self._news)
        super().close()
