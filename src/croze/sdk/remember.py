"""Paths of a build that only this machine knows, kept for `history` as buildx keeps them."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from croze.builders.files import BuilderFiles
from croze.builders.localstate import LocalState, save, save_group
from croze.client.options import call_name
from croze.client.solve import new_id
from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.client.options import BuildOptions
    from croze.drivers.reach import Reach


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
    """A build whose paths are to be written down beside it."""

    def __init__(self, options: BuildOptions, there: Reach) -> None:
        is_call = bool(call_name(options.call))
        self.options = options if is_call else replace(options, ref=options.ref or new_id())
        args = (self.options, there, ONLY, "")
        self._writing = None if is_call else threading.Thread(target=_write, args=args)

    def begin(self) -> None:
        """Begin to write: the daemon is at work, and there is time. Idempotent."""
        if self._writing is not None and self._writing.ident is None:
            self._writing.start()

    def wait(self) -> None:
        """Wait until the paths have been written down."""
        self.begin()
        if self._writing is not None:
            self._writing.join()


@contextmanager
def remembering(options: BuildOptions, there: Reach) -> Iterator[Remembering]:
    """As `remembered`, but the disk is waited for at the end, or when `wait` is called."""
    remembered = Remembering(options, there)
    try:
        yield remembered
    finally:
        remembered.wait()


def _write(options: BuildOptions, there: Reach, target: str, group: str) -> None:
    context, dockerfile = options.context, options.dockerfile
    if os.path.isdir(context):
        context = os.path.abspath(context)
        if dockerfile not in ("", "-"):
            dockerfile = os.path.abspath(dockerfile)
    state = LocalState(target, context, dockerfile, group)
    with suppress(OSError):  # a home that can't be written to: `history` knows no paths then
        save(BuilderFiles(buildx_dir()), there.builder, there.node, options.ref, state)


def remembered_group(group: str, names: Sequence[str], builds: Sequence[BuildOptions]) -> None:
    """Write down what one `bake` was asked for, and the builds that it came to."""
    refs = [each.ref for each in builds if each.ref]
    if refs:
        with suppress(OSError):
            save_group(BuilderFiles(buildx_dir()), group, names, refs)
