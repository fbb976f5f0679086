"""Archives told by how they begin, as buildx and BuildKit's frontend do it (buildx `build/opt.go`,
BuildKit `frontend/dockerui`). Imports next to nothing: clients ask it before they build."""

from __future__ import annotations

_COMPRESSED = (b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\0")


def begins_archive(head: bytes) -> bool:
    """Whether a file that begins so is a tar, or something compressed that may hold one. `head` has
    512 bytes, unless the file is shorter."""
    if head.startswith(_COMPRESSED):
        return True
    import tarfile

    try:
        tarfile.TarInfo.frombuf(head[:512], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True
