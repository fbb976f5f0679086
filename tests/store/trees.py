"""Small trees: written from and read as mappings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from croze.store.contract import ImmutableRef, RefStore


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def read_tree(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*")) if p.is_file()}


def names(root: Path) -> list[str]:
    """Everything that a listing shows, hidden or not."""
    return sorted(str(p.relative_to(root)) for p in root.rglob("*"))


async def make_ref(
    refs: RefStore, parent: ImmutableRef | None, files: Mapping[str, str], *remove: str
) -> ImmutableRef:
    """A committed ref over `parent`; the parent's handle stays the caller's."""
    ref = await refs.new(parent, description=f"write {','.join(files)}")
    async with ref.mounted(readonly=False) as root:
        for name in remove:
            path = root / name
            if path.is_dir():
                for inner in sorted(path.rglob("*"), reverse=True):
                    inner.rmdir() if inner.is_dir() else inner.unlink()
                path.rmdir()
            else:
                path.unlink()
        write_tree(root, files)
    return await ref.commit()


async def tree_of(ref: ImmutableRef) -> dict[str, str]:
    async with ref.mounted(readonly=True) as root:
        return read_tree(root)


async def names_of(ref: ImmutableRef) -> list[str]:
    async with ref.mounted(readonly=True) as root:
        return names(root)
