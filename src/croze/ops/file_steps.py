"""What a worker process does for a file op: its actions, one after the other, on one tree.

Imports little, for the sake of the workers' start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from croze.errors import CrozeError
from croze.fs.copy.copy import copy
from croze.fs.copy.request import CopyRequest
from croze.fs.owner import NumericOwner, file_owner


@dataclass(frozen=True)
class OwnerRequest:
    """Names or ids, and the roots in which names are looked up."""

    user: str | int | None
    user_root: str | None
    group: str | int | None
    group_root: str | None

    def resolve(self) -> NumericOwner:
        return file_owner(self.user, self.user_root, self.group, self.group_root)


@dataclass(frozen=True)
class Edit:
    """One of `fs.tree.edit`'s functions with its arguments."""

    function: Callable[..., None]
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One action, picklable."""

    change: CopyRequest | Edit
    owner: OwnerRequest | None = field(default=None)


@dataclass(frozen=True)
class FailedStep:
    """The index of a step that failed, and why."""

    index: int
    error: CrozeError


def apply(root: str, steps: Sequence[Step]) -> FailedStep | None:
    """Do the steps on the tree at `root`, up to the first that fails; None if none does."""
    for index, step in enumerate(steps):
        try:
            _apply(root, step)
        except CrozeError as error:
            return FailedStep(index, error)
    return None


def _apply(root: str, step: Step) -> None:
    owner = step.owner.resolve() if step.owner else None
    if isinstance(step.change, CopyRequest):
        copy(msgspec.structs.replace(step.change, dst_root=root, owner=owner))
    else:
        given = {"owner": owner} if step.owner else {}
        step.change.function(root, **step.change.arguments, **given)
