"""`layers/NAME/{members.json,plain.tar,rewritten.tar}`: layers, byte for byte.

The recorded layer is applied over the base and written again. `tests/fs` runs the recorded commands
too, which needs a mounted overlay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from croze.fs.tar.apply import apply_layer
from croze.fs.tar.archive import unpack
from croze.fs.tar.write import write_layer
from croze.fs.temporary import temporary_directory
from tests.golden.case import Case
from tests.golden.difference import differences

BASE = Path(__file__).parent / "data/cache/layers/base.tar"
_EPOCH_S = 1600000050


def cases(folder: Path) -> Iterator[Case]:
    if (folder / "members.json").is_file() and (folder / "plain.tar").is_file():
        yield Case("layer", folder.name, partial(_check, folder))


def _check(folder: Path) -> list[str]:
    members = json.loads((folder / "members.json").read_bytes())
    beside = folder.parent / "base.tar"
    with temporary_directory("golden") as root:
        lower, upper = Path(root, "lower"), Path(root, "upper")
        lower.mkdir()
        upper.mkdir()
        if "base" in members and folder.name != "add-tar":
            unpack(str(beside if beside.is_file() else BASE), str(lower), "/")
        applied = apply_layer(
            str(folder / "plain.tar"), "", str(upper), overlay=True, parents=[str(lower)]
        )
        lines = differences(members["plain"]["diff_id"], applied, "applied diff id")
        for kind, epoch in (("plain", None), ("rewritten", _EPOCH_S)):
            target = Path(root, kind)
            layer = write_layer(
                str(target),
                str(upper),
                overlay_lowers=[str(lower)],
                compression="uncompressed",
                epoch=epoch,
            )
            lines += differences(members[kind]["diff_id"], layer.diff_id, f"{kind} diff id")
            lines += _unequal(folder / members[kind]["tar"], target, kind)
        return lines


def _unequal(tar: Path, written: Path, kind: str) -> list[str]:
    made, recorded = written.read_bytes(), tar.read_bytes()
    if made == recorded:
        return []
    at = next((i for i, (a, b) in enumerate(zip(made, recorded, strict=False)) if a != b), -1)
    return [f"{kind}: bytes differ from {at}; sizes {len(recorded)} and {len(made)}"]
