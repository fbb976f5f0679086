"""Lists of files that don't end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.errors import ResourceExhausted
from croze.fs.entry import Entry
from croze.fs.sync import listing_memory
from croze.fs.sync.receive import Receiver
from croze.session.metadata_only import MetadataSink
from croze.session.transfer import Sink
from croze.workers import memory

LINK = 0o120777


@pytest.fixture
def allowance(monkeypatch: pytest.MonkeyPatch) -> listing_memory.MemoryAllowance:
    shared = listing_memory.MemoryAllowance(4 << 20)
    monkeypatch.setattr(listing_memory, "everybodys", lambda: shared)
    return shared


def plain(number: int) -> Entry:
    return Entry(f"{number:09}", LINK, linkname="x")


def with_attributes(number: int) -> Entry:
    return Entry(f"{number:09}", LINK, linkname="x", xattrs={f"a{n}": b"" for n in range(50)})


def with_a_long_name(number: int) -> Entry:
    return Entry(f"{number:09}", LINK, linkname="x" * 4000)


def for_ever(sink: Sink[object], make: Callable[[int], Entry], most: int) -> None:
    for number in itertools.count():
        assert number < most
        sink.stat(make(number), b"")


@pytest.mark.parametrize(
    ("make", "most"), [(plain, 6000), (with_attributes, 300), (with_a_long_name, 200)]
)
@pytest.mark.parametrize("lists_alone", [False, True])
def test_a_list_without_end(
    tmp_path: Path,
    allowance: listing_memory.MemoryAllowance,
    make: Callable[[int], Entry],
    most: int,
    lists_alone: bool,
) -> None:
    """It is refused at some length, and what was taken for it is there for others again."""
    receiver = Receiver(str(tmp_path), pack=str(tmp_path / "pack"))
    sink = MetadataSink(tmp_path, receiver, lambda _: False) if lists_alone else receiver
    with pytest.raises(ResourceExhausted) as caught:
        for_ever(sink, make, most)
    assert str(caught.value).startswith("file transfer refused after ")
    assert str(caught.value).endswith("file lists that come now take more memory than 4 MiB")
    assert allowance.used_bytes == 4 << 20
    sink.abort()
    sink.abort()
    assert allowance.used_bytes == 0


def test_trees_share_what_there_is(
    tmp_path: Path, allowance: listing_memory.MemoryAllowance
) -> None:
    """One that has come lets others have its part."""
    receivers = [Receiver(str(tmp_path), merge=True) for _ in range(5)]
    for receiver in receivers[:4]:
        receiver.stat(plain(1))
    with pytest.raises(ResourceExhausted):
        receivers[4].stat(plain(1))
    receivers[0].finish()
    receivers[1].abort()
    assert allowance.used_bytes == 2 << 20
    receivers[4].stat(plain(2))
    for receiver in receivers:
        receiver.abort()
    assert allowance.used_bytes == 0


@pytest.mark.parametrize(
    ("groups", "limits", "found"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "1000"}, [1000]),
        (
            "9:name=systemd:/\n4:cpu,memory:/c\n",
            {"memory/c/memory.limit_in_bytes": "70", "memory/memory.limit_in_bytes": "90"},
            [70, 90],
        ),
        ("0::/not/seen/here\n", {"memory.max": "5"}, [5]),
        ("", {}, []),
    ],
)
def test_limits_of_control_groups(
    tmp_path: Path, groups: str, limits: dict[str, str], found: list[int]
) -> None:
    (tmp_path / "groups").write_text(groups)
    for name, text in limits.items():
        (tmp_path / "top" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "top" / name).write_text(text + "\n")
    assert list(memory._group_limits(tmp_path / "groups", tmp_path / "top")) == found
    assert list(memory._group_limits(tmp_path / "none", tmp_path)) == []
    assert memory.memory_bytes() > 0
