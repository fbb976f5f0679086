"""What a power cut takes: a machine that boots anew finds what was settled, and nothing else."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from croze.errors import CrozeError
from croze.store.contract import MutableRef, Sharing
from croze.store.open import Store
from croze.store.snapshots import settled
from tests.store.conftest import Opener
from tests.store.trees import make_ref, tree_of, write_tree
from tests.support.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the boot's id is. Nobody waits for the disk of this machine, but where it is asked."""
    monkeypatch.setattr(settled, "_sync", lambda _: None)
    path = tmp_path / "boot_id"
    path.write_text("first\n")
    monkeypatch.setattr(settled, "BOOT_ID", path)
    booted_after(tmp_path, monkeypatch, 3600)
    return path


def booted_after(folder: Path, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the machine booted so long after now."""
    (folder / "stat").write_text(f"cpu 1 2\nbtime {int(time.time() + seconds)}\nprocesses 1\n")
    monkeypatch.setattr(settled, "STAT", folder / "stat")


@asynccontextmanager
async def killed(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """A store that nobody closes."""
    with monkeypatch.context() as patched:
        patched.setattr(settled.Eras, "close", lambda _: None)
        async with opener() as store:
            yield store


async def made(store: Store) -> list[str]:
    """A ref that is settled, one on it that is not, and one beside them."""
    base = await make_ref(store.refs, None, {"a": "1"})
    await store.eras.settle()
    refs = [base, await make_ref(store.refs, base, {"b": "1"})]
    refs.append(await make_ref(store.refs, None, {"c": "1"}))
    for ref in refs:
        await ref.release()
    return [ref.id for ref in refs]


def there(store: Store, ids: list[str]) -> list[bool]:
    return [store.refs.exists(id) for id in ids]


async def test_a_machine_that_failed_has_what_was_settled(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    async with killed(opener, monkeypatch) as store:
        ids = await made(store)
    boot.write_text("second\n")
    for _ in range(2):  # it is the same the next time
        async with killed(opener, monkeypatch) as store:
            assert there(store, ids) == [True, False, False]
            assert await store.verify() == []
    async with opener() as store:
        again = await make_ref(store.refs, None, {"d": "1"})
        await again.release()
    boot.write_text("third\n")
    async with opener() as store:
        assert there(store, [*ids, again.id]) == [True, False, False, True]


async def test_a_daemon_that_was_killed_loses_nothing(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    """The kernel still has it. But it is still to be settled."""
    async with killed(opener, monkeypatch) as store:
        ids = await made(store)
    async with killed(opener, monkeypatch) as store:
        assert there(store, ids) == [True, True, True]
        async with asyncio.timeout(PATIENCE_S):
            await store.eras.written()
            await store.eras.settle()
    boot.write_text("second\n")
    async with opener() as store:
        assert there(store, ids) == [True, True, True]


async def test_a_store_that_was_closed_loses_nothing(opener: Opener, boot: Path) -> None:
    async with opener() as store:
        ids = await made(store)
    boot.write_text("second\n")
    async with opener() as store:
        assert there(store, ids) == [True, True, True]


@pytest.mark.parametrize(
    ("seconds", "is_there"), [(20, False), (-0.5, False), (120, True), (-3600, True)]
)
async def test_a_machine_that_fails_soon_after_the_store_was_closed(
    opener: Opener,
    monkeypatch: pytest.MonkeyPatch,
    boot: Path,
    tmp_path: Path,
    seconds: float,
    is_there: bool,
) -> None:
    """The kernel may not have written all. One that was booted before is the same machine."""
    async with opener() as store:
        ids = await made(store)
    boot.write_text("second\n")
    booted_after(tmp_path, monkeypatch, seconds)
    async with opener() as store:
        assert there(store, ids) == [True, is_there, is_there]
        again = await make_ref(store.refs, None, {"d": "1"})
        await again.release()
    boot.write_text("third\n")
    booted_after(tmp_path, monkeypatch, 20)
    async with opener() as store:
        assert there(store, [*ids, again.id]) == [True, is_there, is_there, False]


async def test_what_was_not_settled_when_it_was_closed_is_later(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path, tmp_path: Path
) -> None:
    async with opener() as store:
        ids = await made(store)
    async with killed(opener, monkeypatch) as store:
        async with asyncio.timeout(PATIENCE_S):
            await store.eras.written()
            await store.eras.settle()
    boot.write_text("second\n")
    booted_after(tmp_path, monkeypatch, 20)
    async with opener() as store:
        assert there(store, ids) == [True, True, True]


async def test_what_was_unpacked_of_a_stack_goes_with_its_layers(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    async with killed(opener, monkeypatch) as store:
        if store.snapshotter == "native":
            return
        first = await make_ref(store.refs, None, {"a": "1"})
        await store.eras.settle()
        second = await make_ref(store.refs, first, {"b": "1"}, "a")
        merged = await store.refs.merge([second, first])
        assert await tree_of(merged)
        for ref in (first, second, merged):
            await ref.release()
    boot.write_text("second\n")
    async with opener() as store:
        assert there(store, [first.id, second.id, merged.id]) == [True, False, False]
        assert await store.verify() == []


async def retained(store: Store) -> str:
    ref = await store.refs.new(None, record_type="source.local")
    await written(ref, "1")
    return ref.id


async def written(ref: MutableRef, content: str) -> None:
    async with ref.mounted(readonly=False) as root:
        write_tree(root, {"f": content})
    await (await ref.commit(retain=True)).release()


async def test_a_directory_that_was_written_again_goes(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    """It can be had again; a cache mount can't, and is only ever a cache."""
    async with killed(opener, monkeypatch) as store:
        ids = [await retained(store) for _ in range(2)]
        await store.eras.settle()
        await written(await store.refs.get_mutable(ids[1]), "2")
        async with (
            store.refs.cache_mount("m", None, Sharing.LOCKED) as cache,
            cache.mounted(readonly=False) as root,
        ):
            write_tree(root, {"kept": "1"})
    boot.write_text("second\n")
    async with opener() as store:
        assert there(store, ids) == [True, False]
        async with (
            store.refs.cache_mount("m", None, Sharing.LOCKED) as cache,
            cache.mounted(readonly=True) as root,
        ):
            assert (root / "kept").read_text() == "1"


async def test_a_disk_that_takes_nothing_settles_nothing(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    def fail(directory: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async with killed(opener, monkeypatch) as store:
        ref = await make_ref(store.refs, None, {"a": "1"})
        await ref.release()
        with monkeypatch.context() as patched:
            patched.setattr(settled, "_sync", fail)
            with pytest.raises(OSError, match="Input/output"):
                await store.eras.settle()
        async with asyncio.timeout(PATIENCE_S):
            await store.eras.written()
    boot.write_text("second\n")
    async with opener() as store:
        assert not store.refs.exists(ref.id)


def test_the_disk_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    settled._sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        settled._sync(tmp_path / "none")


async def test_a_kernel_that_tells_no_boot_is_taken_to_be_the_same(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    async with killed(opener, monkeypatch) as store:
        ids = await made(store)
    boot.unlink()
    async with opener() as store:
        assert there(store, ids) == [True, True, True]


async def test_a_disk_that_is_broken_when_it_is_closed(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, boot: Path
) -> None:
    """Nobody is kept from going, and the next daemon goes on."""

    def broken(sql: str, *values: object) -> None:
        raise CrozeError("failed to write the store's metadata: disk I/O error")

    async with opener() as store:
        ids = await made(store)
        monkeypatch.setattr(store.db, "write", broken)
        await store.close()
    async with opener() as store:
        assert there(store, ids) == [True, True, True]
