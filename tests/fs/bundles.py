"""Trees, and a place where their bundles go."""

from __future__ import annotations

import os
import random
import stat
from dataclasses import dataclass, field
from pathlib import Path

from croze.fs.bundle.read import merge_bundle, needed
from croze.fs.bundle.write import TreeBundle, write_bundle

NO_LIMIT = 1 << 40


DAY_NS = 86_400 * 10**9


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def put(root: Path, path: str, data: bytes | str, *, mtime_ns: int = DAY_NS) -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.write_bytes(data.encode() if isinstance(data, str) else data)
    os.utime(target, ns=(mtime_ns, mtime_ns))
    return target


@dataclass
class Place:
    """Where bundles of one tree go: the packs that are there, by digest."""

    path: Path
    packs: dict[str, str] = field(default_factory=dict)
    spools: int = 0

    @property
    def memory(self) -> Path:
        return self.path / "memory"

    def write(self, root: Path, limit: int = NO_LIMIT, memory: Path | None = None) -> TreeBundle:
        self.spools += 1
        spool = self.path / f"spool{self.spools}"
        spool.mkdir(parents=True)
        made = write_bundle(
            str(root), str(memory or self.memory), list(self.packs), str(spool), limit
        )
        assert isinstance(made, TreeBundle)
        self.packs |= {pack.digest: pack.path for pack in made.packs if pack.path}
        return made

    def read(self, bundle: TreeBundle, new: Path, old: Path | None = None) -> None:
        new.mkdir(exist_ok=True)
        wanted = needed(bundle.index.path, str(old) if old else None, NO_LIMIT)
        packs = {digest: self.packs[digest] for digest in wanted}
        paths = (str(self.memory), str(new) + ".memory")
        merge_bundle(bundle.index.path, packs, str(old) if old else None, str(new), paths, NO_LIMIT)


def shape(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        st = path.lstat()
        what: object = os.readlink(path) if path.is_symlink() else ""
        if stat.S_ISREG(st.st_mode):
            what = path.read_bytes()
        times = 0 if path.is_dir() else st.st_mtime_ns
        found[str(path.relative_to(root))] = (st.st_mode, st.st_uid, st.st_gid, times, what)
    return found


def sent(bundle: TreeBundle) -> int:
    return sum(pack.size for pack in bundle.packs if pack.path)
