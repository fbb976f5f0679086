"""An image in an OCI layout directory (OCI image-layout specification)."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ParamSpec

import msgspec

from croze.aio.threads import in_thread
from croze.client.layouts import ociindex
from croze.errors import Corrupted, CrozeError, InvalidRequest, NotFound, os_reason
from croze.files.settings import open_file
from croze.image import descriptor as media
from croze.image import manifest as manifests
from croze.image.descriptor import Descriptor
from croze.image.reference import check_digest
from croze.imagetools.combine import REFERENCE_DIGEST
from croze.imagetools.contract import LARGEST_READ_BYTES, SUBJECT
from croze.imagetools.location import LayoutLocation, Location
from croze.session.layouts import new_blob

P = ParamSpec("P")
_CHUNK_BYTES = 1 << 20


class LayoutPlace:
    def __init__(self, location: LayoutLocation) -> None:
        self._location = location
        self._root = Path(location.path)

    @property
    def location(self) -> Location:
        return self._location

    async def resolve(self) -> Descriptor:
        return await in_thread(self._resolve)

    def _resolve(self) -> Descriptor:
        if self._location.digest:
            return self._by_digest(self._location.digest)
        entry = ociindex.descriptor(self._root, self._location.tag)
        if entry is None:
            raise NotFound(f"reference {self._location} not found: not found")
        return _descriptor(entry)

    def _by_digest(self, digest: str) -> Descriptor:
        data = self._read(digest)
        return Descriptor(manifests.detect_media_type(data), digest, len(data))

    async def read(self, descriptor: Descriptor) -> bytes:
        return await in_thread(self._read, descriptor.digest)

    def _read(self, digest: str) -> bytes:
        path = self._blob(digest)
        try:
            with open_file(path) as file:
                data = file.read(LARGEST_READ_BYTES + 1)
        except OSError:
            raise NotFound(f"content {digest}: not found") from None
        if len(data) > LARGEST_READ_BYTES:
            raise InvalidRequest(f"content {digest} is too large to be read")
        _check(digest, path, hashlib.new(digest.partition(":")[0], data).hexdigest())
        return data

    async def bring(self, descriptor: Descriptor, folder: Path) -> Path:
        """The layout's own file."""
        path = self._blob(descriptor.digest)
        await in_thread(_check_file, descriptor, path)
        return path

    async def referrers(self, digest: str) -> Sequence[Descriptor]:
        return await in_thread(self._referrers, digest)

    def _referrers(self, subject: str) -> Sequence[Descriptor]:
        """The referrers that the index names as such, and those that its images hold."""
        referrers: dict[str, Descriptor] = {}
        entries = [_descriptor(one) for one in ociindex.manifests(self._root)]
        for one in self._reachable([one for one in entries if SUBJECT not in one.annotations]):
            if self._subject(one) == subject or one.annotations.get(REFERENCE_DIGEST) == subject:
                referrers[one.digest] = one
        referrers |= {one.digest: one for one in entries if one.annotations.get(SUBJECT) == subject}
        return tuple(referrers.values())

    def _reachable(self, roots: Sequence[Descriptor]) -> list[Descriptor]:
        """Every manifest and index, once."""
        seen: dict[str, Descriptor] = {}
        rest = list(roots)
        while rest:
            one = rest.pop()
            if one.digest in seen:
                continue
            seen[one.digest] = one
            if one.media_type in media.INDEX_TYPES:
                rest += manifests.parse_index(self._read(one.digest)).manifests
        return list(seen.values())

    def _subject(self, descriptor: Descriptor) -> str:
        if descriptor.media_type != media.OCI_MANIFEST:
            return ""
        subject = manifests.parse_manifest(self._read(descriptor.digest)).subject
        return "" if isinstance(subject, msgspec.UnsetType) else subject.digest

    async def put_blob(
        self, descriptor: Descriptor, source: Location, bring: Callable[[], Awaitable[Path]]
    ) -> None:
        target = self._blob(descriptor.digest)
        if target.is_file():
            return
        path = await bring()
        await in_thread(_written, self._take, descriptor, path, target)

    def _take(self, descriptor: Descriptor, path: Path, target: Path) -> None:
        with new_blob(self._root, target.parent.name, target.name) as fd:
            with open(fd, "wb", closefd=False) as out, open(path, "rb") as file:
                shutil.copyfileobj(file, out, _CHUNK_BYTES)
            _check_file(descriptor, Path(f"/proc/self/fd/{fd}"))

    async def put_manifest(self, descriptor: Descriptor, data: bytes) -> None:
        await in_thread(_written, self._put, descriptor, data)

    def _put(self, descriptor: Descriptor, data: bytes) -> None:
        target = self._blob(descriptor.digest)
        if not target.is_file():
            with (
                new_blob(self._root, target.parent.name, target.name) as fd,
                open(fd, "wb", closefd=False) as out,
            ):
                out.write(data)

    async def put_referrer(self, subject: str, descriptor: Descriptor) -> None:
        """Entered into the index unless an image there holds it."""
        await in_thread(_written, self._put_referrer, subject, descriptor)

    def _put_referrer(self, subject: str, descriptor: Descriptor) -> None:
        entries = [_descriptor(one) for one in ociindex.manifests(self._root)]
        if any(one.digest == descriptor.digest for one in self._reachable(entries)):
            return
        annotations = {**descriptor.annotations, SUBJECT: subject}
        marked = msgspec.structs.replace(descriptor, annotations=annotations)
        ociindex.put(self._root, _builtins(marked))

    async def publish(self, descriptor: Descriptor, data: bytes) -> None:
        await in_thread(_written, self._publish, descriptor, data)

    def _publish(self, descriptor: Descriptor, data: bytes) -> None:
        self._put(descriptor, data)
        ociindex.put(self._root, _builtins(descriptor), tag=self._location.tag)

    def _blob(self, digest: str) -> Path:
        algorithm, _, value = check_digest(digest).partition(":")
        return self._root / "blobs" / algorithm / value


def _written(write: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    try:
        write(*args, **kwargs)
    except OSError as error:
        raise CrozeError(f"write {error.filename}: {os_reason(error)}") from None


def _descriptor(entry: dict[str, object]) -> Descriptor:
    try:
        return msgspec.convert(entry, Descriptor)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidRequest(f"invalid entry in index.json: {error}") from None


def _builtins(descriptor: Descriptor) -> dict[str, object]:
    value = msgspec.to_builtins(descriptor)
    assert isinstance(value, dict)
    return value


def _check_file(descriptor: Descriptor, path: Path) -> None:
    algorithm = descriptor.digest.partition(":")[0]
    try:
        with open_file(path) as file:
            computed = hashlib.file_digest(file, algorithm).hexdigest()
            size = os.fstat(file.fileno()).st_size
    except OSError:
        raise NotFound(f"content {descriptor.digest}: not found") from None
    _check(descriptor.digest, path, computed)
    if size != descriptor.size:
        raise Corrupted(
            f"content {descriptor.digest} has {size} bytes, not {descriptor.size} as is said of it"
        )


def _check(digest: str, path: Path, computed: str) -> None:
    if digest.partition(":")[2] != computed:
        raise Corrupted(f"unexpected digest {computed} of content {digest}: {path}")
