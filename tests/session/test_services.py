"""Each service, the daemon's end against the client's end over a real session."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import grpc
import pytest

from croze import errors
from croze.aio.threads import in_thread
from croze.fs.entry import Entry
from croze.fs.sync.send import Sender
from croze.rpc.status import to_status
from croze.session import filesend, filesync, hostdir, secrets, upload, visit
from croze.session.filesync import DirRequest
from croze.session.providers.files import FilesProvider, LentDir
from croze.session.providers.secrets import SecretSource, SecretsProvider
from croze.session.providers.targets import (
    DirTarget,
    FileOutput,
    FileTarget,
    TargetFile,
    TargetsProvider,
)
from croze.session.providers.upload import UploadProvider
from tests.session.conftest import Lend
from tests.support.waiting import PATIENCE_S

# -- secrets, uploads ------------------------------------------------------------------------


async def test_secrets(lending: Lend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(b"\0file")
    monkeypatch.setenv("TOKEN", "from env")
    sources = [
        SecretSource("file", path=str(tmp_path / "key")),
        SecretSource("env", env="TOKEN"),
        SecretSource("TOKEN"),
        SecretSource("value", value=b"v"),
        SecretSource("folder", path=str(tmp_path)),
    ]
    async with lending([SecretsProvider(sources)]) as session:
        assert await secrets.get_secret(session, "file") == b"\0file"
        assert await secrets.get_secret(session, "env") == b"from env"
        assert await secrets.get_secret(session, "TOKEN") == b"from env"
        assert await secrets.get_secret(session, "value") == b"v"
        with pytest.raises(errors.NotFound, match=r"^secret nope: not found$"):
            await secrets.get_secret(session, "nope")
        with pytest.raises(errors.CrozeError, match=f"^read {tmp_path}: is a directory$"):
            await secrets.get_secret(session, "folder")


async def test_who_lends_no_secrets_has_none(lending: Lend) -> None:
    async with lending([UploadProvider()]) as session:
        with pytest.raises(errors.NotFound, match=r"^secret nope: not found$"):
            await secrets.get_secret(session, "nope")


def test_a_secret_file_is_checked_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"failed to stat {tmp_path}/nope"):
        SecretsProvider([SecretSource("x", path=f"{tmp_path}/nope")])
    (tmp_path / "big").write_bytes(bytes(500 * 1024 + 1))
    with pytest.raises(errors.InvalidRequest, match=r"^secret x too big\. max size 500KiB$"):
        SecretsProvider([SecretSource("x", path=str(tmp_path / "big"))])


async def test_an_upload_is_pulled_once(lending: Lend) -> None:
    provider = UploadProvider()
    data = os.urandom(3 << 20)
    url = provider.add(BytesIO(data))
    assert upload.is_upload(url)
    assert not upload.is_upload("https://example.com/x")
    async with lending([provider]) as session:
        assert b"".join([piece async for piece in upload.pull(session, url)]) == data
        with pytest.raises(errors.CrozeError, match="no http response from session"):
            _ = [piece async for piece in upload.pull(session, url)]


# -- files -----------------------------------------------------------------------------------


class MemorySink:
    """Keeps a received tree in memory."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.contents: dict[str, bytes] = {}
        self.aborted = False
        self._open: dict[int, list[bytes | memoryview]] = {}

    def recall(self, packets: Sequence[bytes], start: int) -> int:
        return 0

    def stat(self, entry: Entry, packet: bytes) -> int | None:
        self.entries.append(entry)
        if not entry.is_file:
            return None
        id = len(self.entries) - 1
        self._open[id] = []
        return id

    def data(self, id: int, data: bytes | memoryview) -> None:
        self._open[id].append(data)

    def end(self, id: int) -> None:
        self.contents[self.entries[id].path] = b"".join(self._open.pop(id))

    def finish(self) -> dict[str, bytes]:
        assert not self._open
        return self.contents

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "dir").mkdir(parents=True)
    (root / "dir/big").write_bytes(os.urandom(1_000_000))
    (root / "empty").write_bytes(b"")
    (root / "link").symlink_to("dir/big")
    (root / "ünï").write_text("x")
    for number in range(600):
        (root / "dir" / f"f{number:04}").write_text(str(number))
    os.chown(root / "empty", 1234, 1234)
    return root


async def test_a_directory_crosses_the_session(lending: Lend, tree: Path) -> None:
    sink = MemorySink()
    progress: list[tuple[int, bool]] = []
    async with lending([FilesProvider({"context": LentDir(tree)})]) as session:
        contents = await filesync.receive_dir(
            session, DirRequest("context"), sink, lambda n, last: progress.append((n, last))
        )
    assert contents["dir/big"] == (tree / "dir/big").read_bytes()
    assert contents["dir/f0599"] == b"599"
    assert contents["empty"] == b""
    assert [e.path for e in sink.entries if e.is_link] == ["link"]
    assert all(e.uid == 0 for e in sink.entries)
    assert progress[-1][1]
    assert progress[-1][0] > 1_000_000
    assert not sink.aborted


async def test_patterns_travel_in_the_metadata(lending: Lend, tree: Path) -> None:
    sink = MemorySink()
    request = DirRequest("context", include=("ünï", "dir/f000*"), exclude=("dir/f0001",))
    async with lending([FilesProvider({"context": LentDir(tree)})]) as session:
        contents = await filesync.receive_dir(session, request, sink)
    assert set(contents) == {"ünï", "dir/f0000", *(f"dir/f{n:04}" for n in range(2, 10))}


async def test_a_great_many_patterns_fit(lending: Lend, tree: Path) -> None:
    """Both ends have the limits of Go's gRPC: BuildKit's daemon and its clients have them."""
    sink = MemorySink()
    ignored = [f"dir/a-file-that-is-not-there-{n:05}" for n in range(20_000)]
    request = DirRequest("context", include=("dir/f000*",), exclude=(*ignored, "dir/f0001"))
    async with lending([FilesProvider({"context": LentDir(tree)})]) as session:
        contents = await filesync.receive_dir(session, request, sink)
    assert set(contents) == {"dir/f0000", *(f"dir/f{n:04}" for n in range(2, 10))}


async def test_the_lenders_own_excludes_hold(lending: Lend, tree: Path) -> None:
    sink = MemorySink()
    async with lending([FilesProvider({"c": LentDir(tree, exclude=("dir",))})]) as session:
        contents = await filesync.receive_dir(session, DirRequest("c"), sink)
    assert set(contents) == {"ünï", "empty"}


async def test_an_unknown_directory(lending: Lend, tree: Path) -> None:
    sink = MemorySink()
    async with lending([FilesProvider({"context": LentDir(tree)})]) as session:
        with pytest.raises(errors.NotFound) as caught:
            await filesync.receive_dir(session, DirRequest("other"), sink)
    told = 'rpc error: code = NotFound desc = no access allowed to dir "other"'
    assert str(caught.value) == told
    assert to_status(caught.value.wrap("x"), plain=True).code == grpc.StatusCode.NOT_FOUND.value[0]
    assert sink.aborted


async def test_no_files_at_all(lending: Lend) -> None:
    async with lending([]) as session:
        with pytest.raises(errors.CrozeError, match="no local sources enabled"):
            await filesync.receive_dir(session, DirRequest("context"), MemorySink())


async def test_a_failing_sink_tells_both_ends(lending: Lend, tree: Path) -> None:
    class Full(MemorySink):
        def data(self, id: int, data: bytes | memoryview) -> None:
            raise OSError(28, "No space left on device")

    async with lending([FilesProvider({"context": LentDir(tree)})]) as session:
        sink = Full()
        with pytest.raises(OSError, match="No space left"):
            await filesync.receive_dir(session, DirRequest("context"), sink)
        assert sink.aborted
        again = MemorySink()
        await filesync.receive_dir(session, DirRequest("context", include=("empty",)), again)
        assert set(again.contents) == {"empty"}


def test_metadata_encoding() -> None:
    request = DirRequest("n", ("a b",), ("ü x",), ("f",))
    metadata: dict[str, list[str]] = {}
    for key, value in request.metadata():
        metadata.setdefault(key, []).append(value)
    assert metadata["include-patterns"] == ["a b"]
    assert metadata["exclude-patterns"] == ["%C3%BC+x"]
    assert metadata["exclude-patterns-encoded"] == ["1"]
    assert DirRequest.of_metadata(metadata) == request


# -- targets ---------------------------------------------------------------------------------


async def test_a_file_is_sent(lending: Lend, tmp_path: Path) -> None:
    seen: list[Mapping[str, str]] = []

    def open_output(metadata: Mapping[str, str]) -> TargetFile | None:
        seen.append(metadata)
        return FileOutput(tmp_path / "out.tar")

    provider = TargetsProvider({3: FileTarget(open_output)})
    data = os.urandom(5_000_000)
    async with lending([provider]) as session:
        async with filesend.file_writer(session, 3, {"image.name": "x"}) as writer:
            await writer.write(data)
            assert not (tmp_path / "out.tar").exists()
        assert (tmp_path / "out.tar").read_bytes() == data
        assert seen == [{"image.name": "x"}]
        with pytest.raises(errors.CrozeError, match="exporter 7 not found"):
            async with filesend.file_writer(session, 7) as writer:
                await writer.write(b"x")


async def test_a_file_on_this_host_is_written_in_place(lending: Lend, tmp_path: Path) -> None:
    """It is there, whole, when the call has ended; what is no file is sent."""
    wanted: dict[int, TargetFile | None] = {0: FileOutput(tmp_path / "out"), 1: Recorded(), 2: None}
    targets = TargetsProvider(
        {id: FileTarget(lambda _, id=id: wanted[id]) for id in wanted}  # type: ignore[misc]
    )
    async with lending([hostdir.HostDirProvider({}, None, targets), targets]) as session:
        async with filesend.file_writer(session, 0) as writer:
            assert writer.lent is not None
            Path(writer.lent.path).write_bytes(b"in place")
            assert not (tmp_path / "out").exists()
        assert (tmp_path / "out").read_bytes() == b"in place"
        async with filesend.file_writer(session, 1) as writer:
            assert writer.lent is None
        for exporter, error in ((2, errors.AlreadyExists), (3, errors.CrozeError)):
            async with asyncio.timeout(visit.TIMEOUT_S):
                with pytest.raises(error):
                    async with filesend.file_writer(session, exporter) as writer:
                        assert writer.lent is None


async def test_a_small_file_is_sent(lending: Lend, tmp_path: Path) -> None:
    targets = TargetsProvider({0: FileTarget(lambda _: FileOutput(tmp_path / "out"))})
    async with (
        lending([hostdir.HostDirProvider({}, None, targets), targets]) as session,
        filesend.file_writer(session, 0, is_small=True) as writer,
    ):
        assert writer.lent is None
        await writer.write(b"sent")
    assert (tmp_path / "out").read_bytes() == b"sent"


async def test_a_file_in_place_is_all_or_nothing(lending: Lend, tmp_path: Path) -> None:
    targets = TargetsProvider({0: FileTarget(lambda _: FileOutput(tmp_path / "out"))})
    async with lending([hostdir.HostDirProvider({}, None, targets), targets]) as session:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with filesend.file_writer(session, 0) as writer:
                assert writer.lent is not None
                Path(writer.lent.path).write_bytes(b"half")
                raise ZeroDivisionError
        async with asyncio.timeout(PATIENCE_S):
            while list(tmp_path.glob(".out*")):
                await asyncio.sleep(0)
    assert not (tmp_path / "out").exists()


class Recorded:
    """An output that tells what became of it."""

    waits = False

    def __init__(self) -> None:
        self.aborted = asyncio.Event()
        self.written = threading.Event()
        self.committed = False

    def write(self, data: bytes, /) -> None:
        self.written.set()

    def commit(self) -> None:
        self.committed = True

    def abort(self) -> None:
        self.aborted.set()


async def test_an_interrupted_file_is_aborted(lending: Lend) -> None:
    output = Recorded()
    provider = TargetsProvider({0: FileTarget(lambda _: output)})
    async with lending([provider]) as session:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with filesend.file_writer(session, 0) as writer:
                await writer.write(b"x")
                assert await in_thread(output.written.wait, 10)
                raise ZeroDivisionError
        await asyncio.wait_for(output.aborted.wait(), PATIENCE_S)
    assert not output.committed


def test_a_file_output_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    output = FileOutput(path)
    output.write(b"new")
    output.abort()
    assert path.read_text() == "old"
    output = FileOutput(path)
    output.write(b"new")
    output.commit()
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_file_output_that_nothing_takes_the_place_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.write_text("old, and longer")
    monkeypatch.setattr("os.access", lambda *_: False)  # as in another's directory
    output = FileOutput(path)
    assert output.descriptor < 0
    output.write(b"new")
    output.commit()
    assert path.read_text() == "new"


async def test_a_tree_is_exported(lending: Lend, tree: Path, tmp_path: Path) -> None:
    out, mirror = tmp_path / "made/out", tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "stale").write_text("x")
    targets = {0: DirTarget(out), 1: DirTarget(mirror, delete_extra=True)}
    async with lending([TargetsProvider(targets)]) as session:
        await filesend.send_dir(session, 0, Sender(str(tree)))
        with pytest.raises(errors.CrozeError, match="mode=delete requires"):
            await filesend.send_dir(session, 1, Sender(str(tree)))
        await filesend.send_dir(session, 1, Sender(str(tree)), multi_platform=True)
    names = sorted(p.name for p in tree.rglob("*"))
    for copy in (out, mirror):
        assert sorted(p.name for p in copy.rglob("*")) == names
        assert (copy / "dir/big").read_bytes() == (tree / "dir/big").read_bytes()
        assert (copy / "empty").stat().st_uid == os.geteuid()


async def test_outputs_that_cannot_be_written(lending: Lend, tree: Path) -> None:
    """In buildx's words."""
    out = Path("/proc/none/out")
    full = FileTarget(lambda _: FileOutput(Path("/dev/full")))
    async with lending([TargetsProvider({0: DirTarget(out), 1: full})]) as session:
        with pytest.raises(errors.CrozeError) as caught:
            await filesend.send_dir(session, 0, Sender(str(tree)))
        reason = f"dest dir {out}: mkdir {out.parent}: no such file or directory"
        assert str(caught.value).endswith(f"desc = failed to create synctarget {reason}")
        with pytest.raises(errors.ResourceExhausted) as unwritten:
            async with filesend.file_writer(session, 1) as writer:
                await writer.write(b"x")
    assert str(unwritten.value).endswith("desc = write /dev/full: no space left on device")


async def test_an_unwanted_file(lending: Lend) -> None:
    provider = TargetsProvider({0: FileTarget(lambda _: None)})
    async with lending([provider]) as session:
        with pytest.raises(errors.AlreadyExists):  # noqa: PT012
            async with filesend.file_writer(session, 0) as writer:
                for _ in range(100):
                    await writer.write(bytes(1 << 20))


async def test_archives_are_announced_and_refused(lending: Lend, tmp_path: Path) -> None:
    """As BuildKit's clients do."""
    async with lending([FilesProvider({"src": LentDir(tmp_path)})]) as session:
        method = "/moby.filesync.v1.FileSync/TarStream"
        assert session.serves(method)
        async with session.calls.stream(method) as stream:
            with pytest.raises(errors.CrozeError, match="failed to negotiate protocol"):
                await stream.receive()
