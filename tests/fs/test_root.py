"""Paths that try to leave the root: by dots, by links of all kinds, and by links that change while
they are walked."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from croze.fs import root as roots
from croze.fs.failures import TooManyLinks
from croze.fs.root import open_beneath, resolve
from tests.fs import trees

_RENAMEAT2, _EXCHANGE, _AT_FDCWD = 316, 2, -100
TREE: trees.Tree = {
    "d/secret": "inside",
    "absolute": ("->", "/outside"),
    "relative": ("->", "../../outside"),
    "loop": ("->", "loop2"),
    "loop2": ("->", "loop"),
    "deep": ("->", "d/../../../outside/secret"),
    "magic": ("->", "/proc/self/root"),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.make(tmp_path / "outside", {"secret": "stolen"})
    return trees.make(tmp_path / "root", TREE)


@pytest.fixture(params=["openat2", "stepwise"])
def opening(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the kernel's help, and as on kernels that have none."""
    if request.param == "stepwise":
        monkeypatch.setattr(roots, "_have_openat2", False)


def read(root: Path, path: str) -> str:
    fd = open_beneath(str(root), path, os.O_RDONLY)
    with os.fdopen(fd) as file:
        return file.read()


@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize(
    "path",
    ["../outside/secret", "absolute/secret", "relative/secret", "deep", "magic/outside/secret"],
)
def test_there_is_no_way_out(root: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        read(root, path)
    assert resolve(str(root), path).startswith(f"{root}/")


@pytest.mark.usefixtures("opening")
def test_loops_end(root: Path) -> None:
    with pytest.raises((OSError, TooManyLinks)) as caught:
        read(root, "loop/x")
    if isinstance(caught.value, OSError):
        assert caught.value.errno == errno.ELOOP
    with pytest.raises(TooManyLinks):
        resolve(str(root), "loop/x")


def exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    names = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    assert libc.syscall(_RENAMEAT2, *names) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def always_changing(one: Path, other: Path) -> Iterator[None]:
    """Another thread puts each in the place of the other, again and again."""
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            exchange(one, other)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def until_both(attempt: Callable[[], str], wanted: set[str]) -> set[str]:
    """Outcomes of many attempts: at least until all that are wanted were seen."""
    seen: set[str] = set()
    for number in range(200_000):
        seen.add(attempt())
        if number > 2000 and seen >= wanted:
            break
    return seen


@pytest.mark.usefixtures("opening")
@pytest.mark.parametrize("target", ["/outside", "../outside", "../../../../outside"])
def test_a_directory_that_becomes_a_link_and_back(root: Path, target: str) -> None:
    (root / "other").symlink_to(target)

    def attempt() -> str:
        try:
            return read(root, "d/secret")
        except OSError:
            return "error"

    with always_changing(root / "d", root / "other"):
        assert until_both(attempt, {"inside", "error"}) == {"inside", "error"}


@pytest.mark.usefixtures("opening")
def test_nothing_is_made_outside_while_links_change(root: Path) -> None:
    (root / "other").symlink_to("../outside")

    def attempt() -> str:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        try:
            os.close(open_beneath(str(root), "d/made", flags))
        except OSError:
            return "error"
        return "made"

    with always_changing(root / "d", root / "other"):
        until_both(attempt, {"made", "error"})
    assert trees.read(root.parent / "outside") == {"secret": "stolen"}


def test_the_kernel_may_ask_for_another_try(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does where something is renamed, anywhere on the machine, while it is at a `..`."""
    libc, refusals = ctypes.CDLL(None, use_errno=True), [3]

    class Busy:
        def syscall(self, *words: object) -> int:
            if refusals[0]:
                refusals[0] -= 1
                ctypes.set_errno(errno.EAGAIN)
                return -1
            return int(libc.syscall(*words))

    monkeypatch.setattr(roots, "_libc", Busy())
    monkeypatch.setattr(roots, "_have_openat2", True)
    assert read(root, "d/../d/secret") == "inside"
    refusals[0] = 1_000_000
    with pytest.raises(BlockingIOError):
        read(root, "d/../d/secret")
