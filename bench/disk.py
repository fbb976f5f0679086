"""Where a bench's daemons and contexts are.

Ext4 without a journal, as some virtual machines have it, does not give out the inodes of files that
were deleted in the last minutes, and looks at each of them whenever it makes a file near by
(`find_inode_bit` in the kernel's fs/ext4/ialloc.c). There the times of whatever writes files tell
what was removed before, by whomever: so the bench brings an ext4 as distributions make it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from croze.fs.mount import unmount
from croze.fs.temporary import temporary_directory

_MOST_BYTES = 64 << 30
_SHARE = 0.75
"""How much of what is free the disk may come to: it is a sparse file, which takes all that has ever
been in use."""


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty one, gone afterwards: on a disk of its own where the machine's would decide the
    times and root may make one."""
    with temporary_directory("bench") as name, contextlib.ExitStack() as stack:
        own = Path(name)
        if not has_no_journal(own):
            yield own
            return
        try:
            mounted = stack.enter_context(_ext4(own / "disk", own / "mounted"))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"on {own}, an ext4 without a journal: {error}", file=sys.stderr)
            mounted = own
        yield mounted


def has_no_journal(path: Path, root: Path = Path("/")) -> bool:
    """Whether a path is on an ext4 without one. `root` has /sys and /proc."""
    device = os.stat(path).st_dev
    block = root / f"sys/dev/block/{os.major(device)}:{os.minor(device)}"
    if not block.exists():
        return False
    name = block.resolve().name
    is_ext4 = (root / "proc/fs/ext4" / name).is_dir()
    return is_ext4 and not any((root / "proc/fs/jbd2").glob(f"{name}-*"))


@contextlib.contextmanager
def _ext4(image: Path, target: Path) -> Iterator[Path]:
    """A new one, mounted until the block ends."""
    free = os.statvfs(image.parent)
    with image.open("xb") as made:
        made.truncate(min(_MOST_BYTES, int(_SHARE * free.f_bavail * free.f_frsize)))
    target.mkdir()
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, target], check=True)
    try:
        yield target
    finally:
        unmount(target)
