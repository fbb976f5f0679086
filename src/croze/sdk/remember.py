"""Paths of a build that only this machine knows, kept for `history` as buildx keeps them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from croze.builders.files import BuilderFiles
from croze.builders.localstate import LocalState, save, save_group
from croze.client.planning.options import call_name
from croze.errors import CrozeError
from croze.files.docker_config import buildx_dir
from croze.identity import new_id

if TYPE_CHECKING:
    from croze.client.planning.options import BuildOptions
    from croze.drivers.reach import Reach


SOON_S = 0.002
"""When a build has begun, its client is asked for directories first."""
ONLY = "default"
"""What the target of a build is called that has but one."""


def remembered(
    options: BuildOptions, there: Reach, target: str = ONLY, group: str = ""
) -> BuildOptions:
    """The build under a reference of its own, whose paths have been written down, and the group of
    builds that it is of; as it is, if it is a call."""
    if call_name(options.call):
        return options
    options = replace(options, ref=options.ref or new_id())
    _write(options, there, target, group)
    return options


class Remembering:
    """A build whose paths are to be written down beside it.

    They are of use with the daemon's record of the build, which it writes when it has answered: so
    they are there when the build has ended, and the disk is waited for after that."""

    def __init__(self, options: BuildOptions, there: Reach) -> None:
        is_call = bool(call_name(options.call))
        self.options = options if is_call else replace(options, ref=options.ref or new_id())
        self._there = there
        self._is_due = not is_call
        self._timer: asyncio.TimerHandle | None = None
        self._unsynced: list[int] = []

    def begin(self) -> None:
        """Write soon: the daemon is at work, and there will be time. Idempotent."""
        if self._is_due and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_S, self.write)

    def write(self) -> None:
        """Write them down, unless that has been done. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        if self._is_due:
            self._is_due = False
            _write(self.options, self._there, ONLY, "", self._put_off)

    def forget(self) -> None:
        """Leave them unwritten, unless they have been written."""
        self._is_due = False
        if self._timer is not None:
            self._timer.cancel()

    def _put_off(self, fd: int) -> None:
        self._unsynced.append(os.dup(fd))

    def settle(self) -> None:
        """Write them down, and wait until they are on the disk."""
        self.write()
        while self._unsynced:
            fd = self._unsynced.pop()
            with suppress(OSError):
                os.fsync(fd)
            os.close(fd)


@contextmanager
def remembering(options: BuildOptions, there: Reach) -> Iterator[Remembering]:
    """Remember a build as `remembered` does, certainly only at the end."""
    remembered = Remembering(options, there)
    try:
        yield remembered
    except CrozeError as error:
        if not error.record:
            remembered.forget()  # no daemon has a record of it
        raise
    finally:
        remembered.settle()


def _write(
    options: BuildOptions,
    there: Reach,
    target: str,
    group: str,
    sync: Callable[[int], None] | None = None,
) -> None:
    context, dockerfile = options.context, options.dockerfile
    if os.path.isdir(context):
        context = os.path.abspath(context)
        if dockerfile not in ("", "-"):
            dockerfile = os.path.abspath(dockerfile)
    state = LocalState(target, context, dockerfile, group)
    with suppress(OSError):  # a home that can't be written to: `history` knows no paths then
        save(BuilderFiles(buildx_dir()), there.builder, there.node, options.ref, state, sync)


def remembered_group(group: str, names: Sequence[str], builds: Sequence[BuildOptions]) -> None:
    """Write down what one `bake` was asked for, and the builds that it came to."""
    refs = [each.ref for each in builds if each.ref]
    if refs:
        with suppress(OSError):
            save_group(BuilderFiles(buildx_dir()), group, names, refs)
