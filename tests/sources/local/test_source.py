"""A client's directories, by transfer and by handle."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from croze.api import stat_pb2
from croze.digests import digest_of
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.fs.content.checksum import Query, checksum
from croze.session.hostdir import HostDirProvider
from croze.session.lent_service import LentService
from croze.session.providers.files import FilesProvider, LentDir
from croze.sources.contract import BuildSources, SourceContext
from croze.sources.local import transfer as local_transfer
from croze.sources.local.kept import CHECKSUMS
from croze.sources.local.options import LocalOptions, local_key, parse_options
from croze.sources.local.source import LocalSources
from croze.sources.request import SourceRequest
from croze.store import delayed_write
from croze.store.contract import ImmutableRef
from tests.sources.rig import Rig, files
from tests.support.threads import are_beside_the_loop, calling_threads

pytestmark = pytest.mark.root


def providers(kind: str, context: Path) -> list[LentService]:
    lent: list[LentService] = [FilesProvider({"context": LentDir(context)})]
    if kind == "handle":
        lent.append(HostDirProvider({"context": context}))
    return lent


def request(**attrs: str) -> SourceRequest:
    return SourceRequest("local://context", {f"local.{k}": v for k, v in attrs.items()})


async def bring(rig: Rig, session: str, asked: SourceRequest) -> ImmutableRef:
    sources = LocalSources(rig.store.refs, rig.daemon.sessions, rig.pool)
    ref = await sources.open(asked).snapshot(rig.source_context(session))
    assert ref is not None
    return ref


async def content_digest(ref: ImmutableRef) -> str:
    async with ref.mounted(readonly=True) as root:
        return checksum(str(root), str(ref.side_file(CHECKSUMS)), [Query()])[0]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"one")
    (folder / "sub" / "b").write_bytes(b"two" * 100_000)
    (folder / "c.tmp").write_bytes(b"junk")
    return folder


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_a_directory_is_brought_and_kept(rig: Rig, context: Path, kind: str) -> None:
    asked = request(sharedkeyhint="ctx", excludepatterns='["*.tmp"]')
    async with rig.client(*providers(kind, context)) as session:
        first = await bring(rig, session.id, asked)
        assert await files(first) == {"a": b"one", "sub/b": b"two" * 100_000}
        before = await content_digest(first)
        await first.release()
        status = rig.progress.statuses["transferring context:"]
        assert status[0] > 300_000
        (context / "a").write_bytes(b"changed")
        second = await bring(rig, session.id, asked)
        assert await files(second) == {"a": b"changed", "sub/b": b"two" * 100_000}
        status = rig.progress.statuses["transferring context:"]
        assert 0 < status[0] < 1000
        assert await content_digest(second) != before
        await second.release()
        (context / "a").write_bytes(b"one")
        third = await bring(rig, session.id, asked)
        assert await content_digest(third) == before
        await third.release()
    assert rig.progress.unfinished() == []
    records = await rig.store.refs.disk_usage()
    assert {r.description for r in records} == {"local source for context"}


@pytest.mark.parametrize("kind", ["transfer", "handle"])
@pytest.mark.parametrize(("imports_caches", "unwanted_s"), [(False, 10_000), (True, 0.001)])
async def test_files_that_nobody_wants_yet(
    rig: Rig,
    context: Path,
    kind: str,
    imports_caches: bool,
    unwanted_s: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are written at once, or a little later where all may be found in a cache."""
    monkeypatch.setattr(delayed_write, "UNWANTED_S", unwanted_s)
    for number in range(20):
        (context / str(number)).write_text(str(number))
    async with rig.client(*providers(kind, context)) as session:
        sources = LocalSources(rig.store.refs, rig.daemon.sessions, rig.pool)
        build = BuildSources(imports_caches=imports_caches)
        ctx = SourceContext((session.id,), rig.progress, build)
        ref = await sources.open(request()).snapshot(ctx)
        assert ref is not None
        assert ref.unwritten or imports_caches  # then it may have been a little later by now
        while ref.unwritten:
            await asyncio.sleep(0.001)
        assert (await files(ref))["7"] == b"7"
        await ref.release()


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_files_that_are_wanted_are_written_at_once(
    rig: Rig, context: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delayed_write, "UNWANTED_S", 10_000)
    for number in range(20):
        (context / str(number)).write_text(str(number))
    async with rig.client(*providers(kind, context)) as session:
        sources = LocalSources(rig.store.refs, rig.daemon.sessions, rig.pool)
        build = BuildSources(imports_caches=True)
        ctx = SourceContext((session.id,), rig.progress, build)
        ref = await sources.open(request()).snapshot(ctx)
        assert ref is not None
        assert ref.unwritten
        assert (await files(ref))["7"] == b"7"
        await ref.release()


async def test_both_ways_give_the_same_digest(rig: Rig, context: Path) -> None:
    found = []
    for kind in ("transfer", "handle"):
        async with rig.client(*providers(kind, context)) as session:
            ref = await bring(rig, session.id, request(sharedkeyhint=kind))
            found.append(await content_digest(ref))
            await ref.release()
    assert found[0] == found[1]


async def test_one_that_is_in_use_is_not_touched(rig: Rig, context: Path) -> None:
    async with rig.client(*providers("handle", context)) as session:
        first = await bring(rig, session.id, request())
        (context / "a").write_bytes(b"changed")
        second = await bring(rig, session.id, request())
        assert (await files(first))["a"] == b"one"
        assert (await files(second))["a"] == b"changed"
        await first.release()
        await second.release()


async def test_include_and_follow(rig: Rig, context: Path) -> None:
    (context / "link").symlink_to("sub/b")
    async with rig.client(*providers("handle", context)) as session:
        ref = await bring(rig, session.id, request(followpaths='["link"]'))
        assert set(await files(ref)) == {"link", "sub/b"}
        await ref.release()
        ref = await bring(rig, session.id, request(includepattern='["a"]'))
        assert set(await files(ref)) == {"a"}
        await ref.release()


def listed(data: bytes) -> list[stat_pb2.Stat]:
    found = []
    while data:
        size = int.from_bytes(data[:4], "little")
        found.append(stat_pb2.Stat.FromString(data[4 : 4 + size]))
        data = data[4 + size :]
    return found


@pytest.mark.parametrize("kind", ["transfer", "handle"])
async def test_what_is_there_without_contents(rig: Rig, context: Path, kind: str) -> None:
    for name in ("dir/deep/x1", "dir/deep/x2", "dir/none/y", "dir/x1", ".fsutil-metadata"):
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_text(name)
    asked = request(metadatatransfer="true", metadatatransferexclude='["dir/**/*1", "a"]')
    digests = []
    async with rig.client(*providers(kind, context)) as session:
        for gone in ("", "dir/x1"):
            if gone:
                (context / gone).unlink()
            ref = await bring(rig, session.id, asked)
            found = await files(ref)
            digests.append(await content_digest(ref))
            async with ref.mounted(readonly=True) as root:
                assert (root / ".fsutil-metadata").stat().st_mode & 0o777 == 0o644
            await ref.release()
            stats = {os.fsdecode(stat.path): stat for stat in listed(found.pop(".fsutil-metadata"))}
            assert set(found) == {"a", "dir/deep/x1", "dir/x1"} - {gone}
            assert found["dir/deep/x1"] == b"dir/deep/x1"
            everything = {"a", "dir", "dir/deep", "dir/deep/x1", "dir/deep/x2", "dir/none"}
            everything |= {"dir/none/y", "dir/x1", "c.tmp", "sub", "sub/b"}
            assert set(stats) == everything - {gone}
            assert stats["dir/none/y"].size == len("dir/none/y")
    assert digests[0] != digests[1]


async def test_a_directory_that_is_not_lent(rig: Rig, context: Path) -> None:
    async with rig.client(*providers("transfer", context)) as session:
        asked = SourceRequest("local://other", {})
        with pytest.raises(NotFound, match="other"):
            await bring(rig, session.id, asked)
    assert [r for r in await rig.store.refs.disk_usage() if r.in_use] == []


async def test_patterns_are_read_beside_the_event_loop(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be very many."""
    threads = calling_threads(monkeypatch, local_transfer, "PatternMatcher")
    (tmp_path / "f").write_text("f")
    async with rig.client(*providers("transfer", tmp_path)) as session:
        asked = request(metadatatransfer="true", metadatatransferexclude='["f"]')
        await (await bring(rig, session.id, asked)).release()
    assert are_beside_the_loop(threads)


async def test_without_a_session(rig: Rig) -> None:
    sources = LocalSources(rig.store.refs, rig.daemon.sessions, rig.pool)
    source = sources.open(request())
    with pytest.raises(CrozeError, match="could not access local files without session"):
        await source.key(rig.source_context(), 0)
    with pytest.raises(NotFound, match="no active session for gone"):
        await sources.open(request(session="gone")).snapshot(rig.source_context("gone"))


@pytest.mark.parametrize(
    ("options", "preimage"),
    [
        (
            LocalOptions("src", metadata_only=True, metadata_exceptions=("keep/**",)),
            '{"SessionID":"s","IncludePatterns":null,"ExcludePatterns":null,"FollowPaths":null,'
            '"MetadataTransfer":true,"MetadataExceptions":["keep/**"]}',
        ),
        (
            LocalOptions("src", include=("a", "b/*"), exclude=("**/x",), follow_paths=("lnk",)),
            '{"SessionID":"s","IncludePatterns":["a","b/*"],"ExcludePatterns":["**/x"],'
            '"FollowPaths":["lnk"]}',
        ),
    ],
)
def test_keys(options: LocalOptions, preimage: str) -> None:
    assert local_key(options, "s") == f"session:src:{digest_of(preimage.encode())}"


def test_attributes() -> None:
    options = parse_options(request(session="tag:id", differ="none", includepattern="null"))
    assert (options.name, options.session) == ("tag-context", "id")
    assert (options.differ, options.include) == ("none", None)
    with pytest.raises(InvalidRequest, match=r"local\.includepattern"):
        parse_options(request(includepattern="{"))
    with pytest.raises(InvalidRequest, match=r'local\.metadatatransfer "maybe"'):
        parse_options(request(metadatatransfer="maybe"))
    assert parse_options(request(excludepatterns='["a"]')).exclude == ("a",)
