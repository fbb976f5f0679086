"""What a worker process does for a file op: its actions, one after the other, on one tree.

Imports little, for the sake of the workers' start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from croze.errors import CrozeError
from croze.fs.copy.copy import copy
from croze.fs.copy.request import CopyRequest
from croze.fs.owner import NumericOwner, file_owner


class OwnerRequest(Struct, frozen=True):
    """Names or ids, and the roots in which names are looked up."""

    user: str | int | None
    user_root: str | None
    group: str | int | None
    group_root: str | None

    def resolve(self) -> NumericOwner:
        return file_owner(self.user, self.user_root, self.group, self.group_root)


class Edit(Struct, frozen=True):
    """One of `fs.tree.edit`'s functions with its arguments."""

    function: Callable[..., None]
    arguments: Mapping[str, Any]


class FileStep(Struct, frozen=True):
    """One action, picklable."""

    change: CopyRequest | Edit
    owner: OwnerRequest | None = field(default=None)


class FailedStep(Struct, frozen=True):
    """The index of a step that failed, and why."""

    index: int
    error: CrozeError


def apply(root: str, steps: Sequence[FileStep]) -> FailedStep | None:
    """Do the steps on the tree at `root`, up to the first that fails; None if none does."""
    for index, step in enumerate(steps):
        try:
            _apply(root, step)
        except CrozeError as error:
            return FailedStep(index, error)
    return None


def _apply(root: str, step: FileStep) -> None:
    owner = step.owner.resolve() if step.owner else None
    if isinstance(step.change, CopyRequest):
        copy(msgspec.structs.replace(step.change, dst_root=root, owner=owner))
    else:
        ownership = {"owner": owner} if step.owner else {}
        step.change.function(root, **step.change.arguments, **ownership)
