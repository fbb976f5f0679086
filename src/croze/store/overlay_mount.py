"""Overlay mounts (overlayfs.rst), whose options may be longer than a page.

mount(2) copies one page of options, and a chain of hundreds of layers is longer than that: it is
mounted with shorter paths then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from croze.errors import Unsupported
from croze.fs.mount import CLONE_FS, in_own_thread, raw_mount, unshare
from croze.fs.temporary import temporary_directory

OPTIONS_LIMIT = 4095
"""mount(2) copies one page of options, the closing zero byte included."""
LAYERS_LIMIT = 500
"""The kernel's own (`OVL_MAX_STACK`)."""


def mount_overlay(target: str | os.PathLike[str], flags: int, data: Sequence[str]) -> None:
    """Mount an overlay with these options of its own, however long they are together. Raises
    `Unsupported` for more layers than the kernel takes."""
    _forget_volatile(data)
    text = ",".join(data)
    if len(os.fsencode(text)) <= OPTIONS_LIMIT and "\\" not in text:
        raw_mount("overlay", target, "overlay", flags, text)
    else:
        _mount_relative(os.path.abspath(target), flags, data)


def _forget_volatile(data: Sequence[str]) -> None:
    """A volatile overlay leaves a mark in its work directory that forbids another mount, as its
    upper may have lost writes in a power cut. The store answers for that by itself: what was being
    written is swept, and a cache mount is only ever a cache."""
    work = next((o.removeprefix("workdir=") for o in data if o.startswith("workdir=")), "")
    if "volatile" in data and work:
        mark = os.path.join(work, "work", "incompat", "volatile")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(mark, "dirty"))
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(mark)


def _mount_relative(target: str, flags: int, data: Sequence[str]) -> None:
    """Mount from inside the directory that all layers share, with paths relative to it; from one of
    links to them if that is too long as well.

    The working directory belongs to a thread once `CLONE_FS` is unshared.
    """
    base, text = _relative_options(data)
    if len(os.fsencode(text)) <= OPTIONS_LIMIT:
        _mount_from(base, target, flags, text)
        return
    with temporary_directory("layers") as base:
        _mount_from(base, target, flags, _linked_options(data, base))


def _mount_from(base: str, target: str, flags: int, text: str) -> None:
    def mount() -> None:
        unshare(CLONE_FS, "the working directory")
        os.chdir(base)
        raw_mount("overlay", target, "overlay", flags, text)

    in_own_thread(mount)


def _relative_options(data: Sequence[str]) -> tuple[str, str]:
    named = dict(o.split("=", 1) for o in data if "=" in o)
    lowers = split_lowers(named.get("lowerdir", ""))
    dirs = lowers + [named[k] for k in ("upperdir", "workdir") if k in named]
    base = os.path.commonpath(dirs)
    if base in dirs:
        base = os.path.dirname(base)
    above = base.rstrip("/") + "/"
    short = {d: d[len(above) :] if d.startswith(above) else os.path.relpath(d, base) for d in dirs}
    parts = [o for o in data if not o.startswith(("lowerdir=", "upperdir=", "workdir="))]
    parts += [f"{k}={short[named[k]]}" for k in ("upperdir", "workdir") if k in named]
    parts.append("lowerdir=" + ":".join(short[d] for d in lowers))
    return base, ",".join(parts)


def _linked_options(data: Sequence[str], base: str) -> str:
    """The options with links in `base` for directories, which overlayfs follows as it mounts."""
    parts: list[str] = []
    for option in data:
        name, _, value = option.partition("=")
        if name not in ("lowerdir", "upperdir", "workdir"):
            parts.append(option)
            continue
        dirs = split_lowers(value) if name == "lowerdir" else [value]
        if len(dirs) > LAYERS_LIMIT:
            raise Unsupported(f"too many layers for one overlay mount: {len(dirs)}")
        links = [f"{name[0]}{number:x}" for number in range(len(dirs))]
        for link, path in zip(links, dirs, strict=True):
            os.symlink(path, os.path.join(base, link))
        parts.append(f"{name}={':'.join(links)}")
    return ",".join(parts)


def join_lowers(dirs: Sequence[str]) -> str:
    """The value of `lowerdir=`: topmost first, colons escaped as overlayfs wants them."""
    return ":".join(d.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,") for d in dirs)


def split_lowers(value: str) -> list[str]:
    """Inverse of `join_lowers`."""
    dirs, current, escaped = [], "", False
    for char in value:
        if escaped:
            current, escaped = current + char, False
        elif char == "\\":
            escaped = True
        elif char == ":":
            dirs.append(current)
            current = ""
        else:
            current += char
    return [*dirs, current] if value else []
