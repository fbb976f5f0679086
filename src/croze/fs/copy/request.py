"""What `fs.copy.copy` is asked for; sent to worker processes as it is."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from croze.fs.owner import NumericOwner


class CopyRequest(msgspec.Struct, frozen=True):
    """One copy action. `-1` for mode and timestamp leaves the source's."""

    src_root: str
    src: str
    dst_root: str
    dst: str
    owner: NumericOwner | None = None
    mode: int = -1
    mode_str: str = ""
    """Symbolic or octal; goes before `mode`."""
    follow_symlink: bool = False
    dir_copy_contents: bool = False
    unpack: bool = False
    """Unpack sources that are tar archives (plain or compressed)."""
    create_dest_path: bool = False
    allow_wildcard: bool = False
    allow_empty_wildcard: bool = False
    timestamp_ns: int = -1
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    required_paths: Sequence[str] = ()
    """Only used in checksums; kept here to mirror the wire."""
    always_replace: bool = False
    """Replace what is at the destination even if it is of another type."""
    link_notes: str | None = None
    """The `fs.copy.links` notes of the source: files in directories may be hard-linked instead of
    copied. Only where neither the source nor the destination is written in place."""
