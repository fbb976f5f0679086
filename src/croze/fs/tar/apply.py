"""Applies layer blobs to directories (OCI image specification, `layer.md`)."""

from __future__ import annotations

import hashlib
import io
import os
import queue
import threading
from collections.abc import Sequence
from typing import BinaryIO

from croze.errors import Corrupted, CrozeError
from croze.fs.failures import explained
from croze.fs.tar.arriving import ArrivingFile
from croze.fs.tar.compress import Readable, open_reader, read_errors
from croze.fs.tar.extract import Extractor, owner_ids, set_opaque
from croze.fs.tar.read import Member, TarReader
from croze.fs.userns import give

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_READ = 512 << 10
_AHEAD = 8


def apply_layer(
    blob_path: str,
    media_type: str,
    dest_root: str,
    *,
    overlay: bool = False,
    parents: Sequence[str] = (),
    news: str | None = None,
) -> str:
    """Unpack a layer into `dest_root`; returns its diff ID (digest of the tar).

    With `overlay`, `dest_root` is an upperdir: whiteouts become 0/0 devices and opaque xattrs, and
    `parents` (lower directories, top first) give missing parents their attributes. Without it,
    `dest_root` holds the state below and whiteouts delete. What the stream is compressed with is
    read off its first bytes; `media_type` is only for messages. With `news`, the blob is still
    being written (see `arriving`). Nothing outside `dest_root` is touched. Raises Corrupted for
    broken streams; the directory is then half written.
    """
    with (
        _opened(blob_path, news) as blob,
        explained("apply layer", dest_root),
        HashingReader(_decompressed(blob_path, media_type, blob)) as stream,
    ):
        reader = TarReader(stream)
        extractor = Extractor(dest_root, reader, parents=parents, overlay=overlay)
        _Layer(extractor, overlay=overlay).apply(reader)
        return stream.drain()


def diff_id_of(blob_path: str, media_type: str) -> str:
    """The digest of a layer's tar, which is not unpacked. Raises Corrupted for broken streams."""
    with (
        open(blob_path, "rb") as blob,
        HashingReader(_decompressed(blob_path, media_type, blob)) as stream,
    ):
        return stream.drain()


def _opened(path: str, news: str | None) -> BinaryIO:
    if news is None:
        return open(path, "rb")
    return io.BufferedReader(ArrivingFile(path, news))


def _decompressed(path: str, media_type: str, blob: BinaryIO) -> Readable:
    try:
        return open_reader(blob)
    except read_errors() as error:
        raise Corrupted(f"{path} ({media_type}): {error}") from error


class _Layer:
    def __init__(self, extractor: Extractor, *, overlay: bool) -> None:
        self._extractor = extractor
        self._overlay = overlay
        self._unpacked: set[str] = set()

    def apply(self, reader: TarReader) -> None:
        for member in reader:
            placed = self._extractor.place(member)
            if placed is None:
                continue
            path, directory, name = placed
            if name.startswith(_WHITEOUT):
                self._whiteout(directory, name, member)
                continue
            self._extractor.create(member, path, directory, name)
            if not self._overlay:
                self._unpacked.add(f"{directory}/{name}")
        self._extractor.finish()

    def _whiteout(self, directory: str, name: str, member: Member) -> None:
        if name == _OPAQUE:
            if self._overlay:
                set_opaque(directory)
            else:
                self._clear(directory)
            return
        hidden = name.removeprefix(_WHITEOUT)
        if hidden in ("", ".", ".."):
            raise Corrupted(f"invalid whiteout name: {name}: invalid archive")
        target = f"{directory}/{hidden}"
        if not self._overlay:
            self._extractor.remove(target)
            return
        if os.path.lexists(target):
            self._extractor.remove(target)
        os.mknod(target, 0o020000, 0)
        give(target, *owner_ids(member))

    def _clear(self, directory: str) -> None:
        """Remove what lower layers put into the directory, at any depth."""
        own_paths = set(self._unpacked)
        for path in self._unpacked:
            while path.startswith(directory) and (path := path.rpartition("/")[0]) not in own_paths:
                own_paths.add(path)
        self._clear_all_but(own_paths, directory)

    def _clear_all_but(self, own_paths: set[str], directory: str) -> None:
        with os.scandir(directory) as entries:
            listed = list(entries)
        for entry in listed:
            if entry.path not in own_paths:
                self._extractor.remove(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                self._clear_all_but(own_paths, entry.path)


class HashingReader:
    """Reads ahead in a thread, where decompression and hashing run beside the writing of files."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._sums = hashlib.sha256()
        self._ready: queue.Queue[bytes | Exception] = queue.Queue(_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="croze-read", daemon=True)
        self._buffer = b""
        self._done = False

    def __enter__(self) -> HashingReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                chunk = self._source.read(_READ)
                self._sums.update(chunk)
                self._ready.put(chunk)
                if not chunk:
                    return
        except Exception as error:  # handed to the reading thread
            self._ready.put(error)

    def read(self, size: int = -1, /) -> bytes:
        """Some bytes, at most `size`; empty at the end. Raises Corrupted for broken data."""
        if not self._buffer and not self._done:
            item = self._ready.get()
            if isinstance(item, Exception):
                self._done = True
                if isinstance(item, read_errors()) and not isinstance(item, CrozeError):
                    raise Corrupted(str(item)) from item
                raise item
            self._buffer = item
            self._done = not item
        if 0 <= size < len(self._buffer):
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            return data
        data, self._buffer = self._buffer, b""
        return data

    def drain(self) -> str:
        """Read to the end; the digest of everything."""
        while self.read():
            pass
        return "sha256:" + self._sums.hexdigest()
