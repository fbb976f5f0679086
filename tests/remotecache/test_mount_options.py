"""Which cache mounts travel: names, attributes, listings."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from croze.daemon.engine.cache_imports import wanted_mounts
from croze.errors import InvalidRequest
from croze.gateway.imports import CacheImport
from croze.remotecache.mounts import listing
from croze.remotecache.mounts.listing import ListedBlob, ListedMount
from croze.remotecache.mounts.options import MountOptions, is_called, mount_options, shown
from croze.remotecache.options import parse_exports


def mount(id: str = "/a", **values: object) -> ListedMount:
    blob = ListedBlob("sha256:" + "0" * 64, 1)
    return ListedMount(**{"id": id, "index": blob, "packs": (blob,), **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("id", "names", "others"),
    [
        ("/npm", ("npm", "/npm"), ("pm", "npm2", "")),
        ("//root/.cache", ("/root/.cache", "//root/.cache"), ("root/.cache", "/root")),
        ("team/npm", ("npm", "team/npm"), ("team", "/npm")),
        ("raw", ("raw",), ("/raw",)),
    ],
)
def test_what_a_mount_is_called(id: str, names: Sequence[str], others: Sequence[str]) -> None:
    assert all(is_called(id, name) for name in names)
    assert not any(is_called(id, name) for name in others if name)
    assert is_called(id, shown(id))


def test_attributes() -> None:
    assert mount_options({"ref": "x"}) is None
    assert mount_options({"mounts": "*"}) == MountOptions(("*",))
    assert mount_options({"mounts": " npm, go;/root/.cache npm"}) == MountOptions(
        ("npm", "go", "/root/.cache")
    )
    assert mount_options({"mounts": "a", "mounts-max-size": "1g"}) == MountOptions(("a",), 1 << 30)
    assert MountOptions(("npm", "x")).unknown(["/npm"]) == ["x"]
    assert MountOptions(("*",)).unknown([]) == []


WRONG = (
    ("inline", {"mounts": "*"}, "cache mounts can't be in an image"),
    ("local", {"dest": "x", "mounts": ""}, "requires ids of cache mounts, or *"),
    ("local", {"dest": "x", "mounts": " , "}, "requires ids of cache mounts, or *"),
    ("local", {"dest": "x", "mounts-max-size": "1"}, "no meaning without mounts"),
    ("registry", {"ref": "x", "mounts": "*", "mounts-max-size": "x"}, "parse mounts-max-size"),
)


@pytest.mark.parametrize(("kind", "attrs", "message"), WRONG)
def test_wrong_attributes(kind: str, attrs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest, match=f"failed to configure {kind} cache exporter.*") as err:
        parse_exports([(kind, attrs)])
    assert message in str(err.value)


def test_wrong_attributes_of_an_import() -> None:
    with pytest.raises(InvalidRequest, match="failed to configure s3 cache importer: mounts req"):
        wanted_mounts(CacheImport("s3", {"mounts": ""}))


def test_listings() -> None:
    mounts = mount("/b"), mount("/a", base="sha256:1"), mount("/a", size=7, files=1, used_at="now")
    assert set(listing.decode(listing.encode(mounts)).mounts) == set(mounts)
    assert listing.encode(mounts) == listing.encode(mounts[::-1])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"mounts":[],"version":2}',
        listing.encode([mount(), mount()]),
        listing.encode([mount(index=ListedBlob("sha256:../x", 1))]),
        listing.encode([mount(packs=(ListedBlob("sha256:" + "0" * 64, -1),))]),
        b'{"mounts":' + b"[" * 100_000,
    ],
)
def test_what_is_no_listing(data: bytes) -> None:
    with pytest.raises(InvalidRequest):
        listing.decode(data)
