"""Daemons that lie to the client: it reads nothing that it has not lent, writes nowhere but where
it was told to, ends, and says in plain words what is wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from google.protobuf.message import Message

from croze import errors
from croze.api import (
    auth_pb2,
    content_pb2,
    control_pb2,
    engine_pb2,
    secrets_pb2,
    stat_pb2,
    why_pb2,
    wire_pb2,
)
from croze.api.attrs import of_attrs
from croze.image.descriptor import OCI_INDEX
from croze.session.contract import MessageStream, Session
from tests.e2e.liars import CONTROL, Liar
from tests.e2e.sandbox import Done, Sandbox
from tests.support.waiting import PATIENCE_S

FAR = (1 << 63) - 1
ZERO = "0" * 64
PACKET = wire_pb2.Packet


@pytest.fixture
async def liar(tmp_path: Path) -> AsyncIterator[Liar]:
    made = Liar(Sandbox(tmp_path))
    async with made.running():
        yield made


def plain(done: Done, code: int | None = None) -> str:
    """All that a command has said, in plain words."""
    assert "Traceback" not in done.output, done.output
    assert "internal error" not in done.output, done.output
    assert code is None or done.code == code, done.output
    return done.output


# -- what it says --


def far_record(ref: str, seconds: int, nanos: int) -> control_pb2.BuildHistoryEvent:
    """A record of a time that no calendar has, with all its blobs wrong."""
    record = control_pb2.BuildHistoryRecord(Ref=ref, numCachedSteps=-5)
    record.CreatedAt.seconds, record.CreatedAt.nanos = seconds, nanos
    record.CompletedAt.seconds, record.CompletedAt.nanos = -seconds, nanos
    record.trace.digest = record.externalError.digest = f"sha256:{ZERO}"
    for media_type in (OCI_INDEX, "application/vnd.in-toto+json"):
        result = record.Result.Results[len(record.Result.Results)]
        result.digest, result.media_type = "sha256:" + "1" * 64, media_type
    attestation = record.Result.Attestations.add(digest="sha256:" + "2" * 64)
    attestation.annotations["in-toto.io/predicate-type"] = "https://slsa.dev/provenance/v1"
    return control_pb2.BuildHistoryEvent(type=control_pb2.COMPLETE, record=record)


async def test_records_and_usage(liar: Liar) -> None:
    loop = {"mediaType": OCI_INDEX, "digest": "sha256:" + "1" * 64}
    other = {"mediaType": OCI_INDEX, "digest": "sha256:" + "3" * 64}
    liar.blobs = {
        "sha256:" + "1" * 64: json.dumps({"manifests": [loop, other, other]}).encode(),
        "sha256:" + "3" * 64: json.dumps({"manifests": [loop, loop]}).encode(),
        "sha256:" + "2" * 64: b"[1]",
        f"sha256:{ZERO}": b"\xff",
    }
    records = far_record("../../owned", FAR, -1), far_record("\0", -FAR, 1 << 30)
    liar.say(f"{CONTROL}/ListenBuildHistory", *records)
    usage = control_pb2.UsageRecord(ID="x" * 300, Size=-FAR, UsageCount=FAR)
    usage.CreatedAt.seconds, usage.LastUsedAt.seconds = FAR, -FAR
    liar.say(f"{CONTROL}/DiskUsage", control_pb2.DiskUsageResponse(record=[usage]))
    liar.say(f"{CONTROL}/Prune", usage)
    explanation = why_pb2.ExplainResponse(ref="r")
    explanation.created_at.seconds = FAR
    liar.say("croze.v1.Why/Explain", explanation)
    image = engine_pb2.Image(name="a\0b", digest="d", size=-1)
    image.updated_at.seconds = -FAR
    liar.say("croze.v1.Engine/ListImages", engine_pb2.ListImagesResponse(images=[image]))
    for words in (
        ["history", "ls"],
        ["history", "ls", "--format=json"],
        ["history", "inspect", "--format=json"],
        ["history", "inspect"],
        ["history", "trace"],
        ["history", "export", "-o", "bundle"],
        ["du", "--verbose"],
        ["prune", "-f"],
        ["why"],
        ["why", "--format=json"],
        ["images"],
    ):
        plain(await liar.croze(*words, cwd=liar.sandbox.path))


def odd_status() -> control_pb2.StatusResponse:
    """A step with a name that takes long to read, at times that no calendar has, and a warning
    about lines that there are not."""
    status = control_pb2.StatusResponse()
    vertex = status.vertexes.add(digest="sha256:1", name="[" + " " * 500_000)
    vertex.started.seconds, vertex.started.nanos = -FAR, -1
    vertex.completed.seconds = FAR
    state = status.statuses.add(ID="\x1b]0;x\7", vertex="sha256:1", current=FAR, total=-1)
    state.timestamp.seconds = state.started.seconds = FAR
    log = status.logs.add(vertex="sha256:1", msg=b"\0\xff", stream=-1)
    log.timestamp.seconds = -FAR
    warning = status.warnings.add(vertex="sha256:1", level=-1, short=b"\xff", url="\0")
    warning.info.filename, warning.info.data = "../x", b"a\nb"
    around = warning.ranges.add()
    around.start.line, around.end.line = -(1 << 31), (1 << 31) - 1
    return status


@pytest.mark.parametrize("progress", ["plain", "rawjson"])
async def test_what_a_build_came_to(liar: Liar, progress: str) -> None:
    async def answer(session: Session, request: control_pb2.SolveRequest) -> Mapping[str, str]:
        deep = base64.b64encode(b'{"a":' + b"[" * 100_000).decode()
        odd = base64.b64encode(b'{"a": NaN, "b": "\\ud800", "c": 1e999}').decode()
        return {"deep": deep, "odd": odd, "image.name": "\0,../../x", "result.json": "[1"}

    liar.work, liar.status = answer, [odd_status()]
    attestation = far_record("r", 1, 1)
    liar.say(f"{CONTROL}/ListenBuildHistory", attestation)
    liar.blobs["sha256:" + "2" * 64] = b"[1]"
    folder = liar.sandbox.context("lied", {"Dockerfile": "FROM scratch\n"})
    words = [f"--progress={progress}", f"--metadata-file={folder}/metadata"]
    plain(await liar.croze("build", *words, folder))
    if progress == "plain":
        assert "failed to parse the findings" in plain(await liar.croze("build", "--check", folder))


async def test_what_a_local_cache_came_to(liar: Liar) -> None:
    answers = iter(["[]", "{", '{"digest": 1}', "[" * 100_000])

    async def answer(session: Session, request: control_pb2.SolveRequest) -> Mapping[str, str]:
        return {"cache.manifest": next(answers)}

    liar.work = answer
    folder = liar.sandbox.context("cached", {"Dockerfile": "FROM scratch\n"})
    for _ in range(2):
        done = await liar.croze("build", f"--cache-to=type=local,dest={folder}/c", folder)
        assert "failed to unmarshal the daemon's descriptor" in plain(done, 1)


# -- what it does --


async def told(call: MessageStream) -> str:
    """Why the client has ended a transfer; nothing if that has gone well."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while batch := await call.receive():
                for packet in map(PACKET.FromString, batch):
                    if packet.type in (PACKET.PACKET_ERR, PACKET.PACKET_FIN):
                        return packet.data.decode()
    except errors.CrozeError as error:
        return str(error)
    return ""


def stat(path: str, mode: int = 0o644, **more: object) -> wire_pb2.Packet:
    made = stat_pb2.Stat(path=path.encode(), mode=mode, uid=(1 << 32) - 1)
    for name, value in more.items():
        setattr(made, name, value)
    return PACKET(type=PACKET.PACKET_STAT, stat=made)


DIRECTORY, LINK, DEVICE = 1 << 31 | 0o755, 1 << 27 | 0o777, 1 << 26 | 0o666
EXPORTS = {
    "above": [stat("../owned")],
    "absolute": [stat("/owned")],
    "through": [stat("a/../../owned")],
    "unseen": [stat("a/owned")],
    "zero": [stat("a\0b")],
    "link": [stat("l", LINK, linkname=b"../outside"), stat("l/owned")],
    "zero-link": [stat("l", LINK, linkname=b"a\0b")],
    "hard": [stat("h", linkname=b"../outside/kept")],
    "twice": [stat("a"), stat("a")],
    "backwards": [stat("b"), stat("a")],
    "there": [stat("there", DIRECTORY), stat("there/owned")],
    "there-file": [stat("there"), stat("there/owned")],
    "device": [stat("d", DEVICE, devmajor=FAR, devminor=-1)],
    "time": [stat("t", modTime=-FAR)],
}


def content_bytes(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def content_of(root: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


class Thief:
    """Takes what it can get of a client, and puts what it can where it can."""

    def __init__(self, session: Session, layout_id: str) -> None:
        self._session = session
        self._layout_id = layout_id
        self.got: list[str] = []
        """What it has been told or given."""

    async def run(self) -> None:
        await self._secrets()
        await self._directories()
        await self._numbers()
        await self._stores()
        await self._exports()

    async def _refused(
        self, method: str, request: Message, metadata: Sequence[tuple[str, str]] = ()
    ) -> str:
        """Why nothing is got by a question."""
        with pytest.raises(errors.CrozeError) as caught:
            await self._session.calls.ask(method, request, type(request), metadata=metadata)
        return str(caught.value)

    async def _secrets(self) -> None:
        for id in ("other", "", "HOME", "/etc/passwd", "../one", "one\0"):
            method = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
            assert "not found" in await self._refused(method, secrets_pb2.GetSecretRequest(ID=id))
        token = auth_pb2.FetchTokenRequest(Host="h", Realm="file:///etc/passwd")
        assert "fetch" in await self._refused("/moby.filesync.v1.Auth/FetchToken", token)

    async def _directories(self) -> None:
        diff_copy = "/moby.filesync.v1.FileSync/DiffCopy"
        for name in ("..", "/", "", "context/..", "context%00", "Context"):
            async with self._session.calls.stream(diff_copy, (("dir-name", name),)) as call:
                assert "no access allowed" in await told(call), name
        zero = (("dir-name", "context"), ("followpaths", "a%00"), ("followpaths-encoded", "1"))
        async with self._session.calls.stream(diff_copy, zero) as call:
            assert "zero byte" in await told(call)
        paths = ("../../outside/kept", "link/kept", "/etc/passwd", "../*/kept")
        follow = (("dir-name", "context"), *(("followpaths", path) for path in paths))
        async with self._session.calls.stream(diff_copy, follow) as call:
            async for packet in _until_all_listed(call):
                self.got.append(os.fsdecode(packet.stat.path))

    async def _numbers(self) -> None:
        diff_copy = "/moby.filesync.v1.FileSync/DiffCopy"
        for numbers in ([1 << 31], [0, 0], [5], [(1 << 32) - 1] * 1000):
            async with self._session.calls.stream(diff_copy, (("dir-name", "context"),)) as call:
                [_ async for _ in _until_all_listed(call)]
                asked = (PACKET(type=PACKET.PACKET_REQ, ID=number) for number in numbers)
                await call.send(*(each.SerializeToString() for each in asked))
                assert "invalid file id" in await told(call), numbers

    async def _stores(self) -> None:
        service = "/containerd.services.content.v1.Content"
        for id in ("oci:../x", "export", "local:/", self._layout_id):
            store = (("buildkit-attachable-store-id", id),)
            for digest in ("sha256:../../../outside/kept", "sha256:" + "f" * 64):
                delete = content_pb2.DeleteContentRequest(digest=digest)
                why = await self._refused(f"{service}/Delete", delete, store)
                assert "not found" in why or "read only" in why, (id, why)
            async with self._session.calls.stream(f"{service}/Write", store) as call:
                request = content_pb2.WriteContentRequest(ref="r", data=b"owned")
                request.action = content_pb2.COMMIT
                await call.send(request.SerializeToString())
                why = await told(call)
                assert "not found" in why or "read only" in why, (id, why)

    async def _exports(self) -> None:
        diff_copy = "/moby.filesync.v1.FileSend/DiffCopy"
        for id in ("7", "9" * 5000):
            exporter = (("buildkit-attachable-exporter-id", id),)
            async with self._session.calls.stream(diff_copy, exporter) as call:
                assert f"exporter {id[:5]}" in await told(call)
        for name, packets in EXPORTS.items():
            exporter = (("buildkit-attachable-exporter-id", "0"),)
            async with self._session.calls.stream(diff_copy, exporter) as call:
                for packet in (*packets, PACKET(type=PACKET.PACKET_STAT)):
                    await call.send(packet.SerializeToString())
                for number in range(len(packets)):
                    for data in (b"owned", b""):
                        part = PACKET(type=PACKET.PACKET_DATA, ID=number, data=data)
                        await call.send(part.SerializeToString())
                self.got.append(f"{name}: {await told(call)}")


async def _until_all_listed(call: MessageStream) -> AsyncIterator[wire_pb2.Packet]:
    while batch := await call.receive():
        for packet in map(PACKET.FromString, batch):
            if packet.type == PACKET.PACKET_STAT and not packet.HasField("stat"):
                return
            yield packet


@pytest.fixture
def outside(liar: Liar) -> Iterator[Path]:
    """What nobody has lent; as it was, in the end."""
    folder = liar.sandbox.context("outside", {"kept": "secret", "dir/kept": "secret"})
    before = content_of(folder)
    yield folder
    assert content_of(folder) == before


async def test_what_is_not_lent(liar: Liar, outside: Path, busybox: Path) -> None:
    context = liar.sandbox.context("lent", {"Dockerfile": "FROM scratch\n", "a/b": "b"})
    (context / "link").symlink_to(outside)
    target = liar.sandbox.path / "target"
    target.mkdir()
    (target / "there").symlink_to(outside)
    thieves: list[Thief] = []

    async def steal(session: Session, request: control_pb2.SolveRequest) -> Mapping[str, str]:
        layout = of_attrs(request.FrontendAttrs)["context:base"]
        id = layout.removeprefix("oci-layout://").partition("@")[0]
        thieves.append(Thief(session, f"oci:{id}"))
        await thieves[0].run()
        return {}

    liar.work = steal
    blobs = content_bytes(busybox)
    words = ["--secret=id=one,env=HOME", f"--build-context=base=oci-layout://{busybox}"]
    done = await liar.croze("build", *words, "-o", target, context)
    plain(done, 0)
    assert content_bytes(busybox) == blobs
    assert not [*liar.sandbox.path.rglob("owned")], thieves[0].got
