"""A build's record names what its result is made of, and that is still there."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from croze.api import control_pb2
from croze.daemon.build.recording import recording
from croze.daemon.telemetry.telemetry import Telemetry, measuring
from croze.errors import CrozeError, ResourceExhausted
from croze.history.history import BuildHistory, Expiry
from croze.store.open import Store, open_store
from tests.solver.arithmetic import World
from tests.store.pools import ThreadPool


async def test_a_collection_before_the_record_is_written_takes_nothing_of_it(
    tmp_path: Path,
) -> None:
    store = await open_store(tmp_path / "store", ThreadPool(), snapshotter="native")
    try:
        await record_amid_collections(store)
    finally:
        await store.close()


async def record_amid_collections(store: Store) -> None:
    world = World()
    async with BuildHistory(store, Expiry()) as history, measuring({}) as telemetry:
        request = control_pb2.SolveRequest(Ref="a")
        async with (
            world.solver() as solver,
            recording(history, telemetry, request) as record,
            solver.job("a") as job,
        ):
            record.begin(job)
            config = await store.blobs.put(b"{}")
            manifest = {"config": {"mediaType": "c", "digest": config, "size": 2}, "layers": []}
            data = json.dumps(manifest).encode()
            root = await store.blobs.put(data)
            descriptor = {"mediaType": "m", "digest": root, "size": len(data)}
            text = base64.b64encode(json.dumps(descriptor).encode()).decode()
            record.result({}, [{"containerimage.descriptor": text}])
        store.collect_blobs()
        assert store.blobs.has(root)
        await history.settled()
        store.collect_blobs()
        assert store.blobs.has(root)
        assert store.blobs.has(config)
        await history.delete("a")
        assert not store.blobs.has(root)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_keeps_a_build_from_being_recorded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    fails: bool,
) -> None:
    """It fails the build, as BuildKit's does; one that has failed keeps its own error. Nothing of
    it runs any more, and no spans are kept for it."""
    store = await open_store(tmp_path / "store", ThreadPool(), snapshotter="native")
    try:
        async with BuildHistory(store, Expiry()) as history, measuring({}) as telemetry:
            monkeypatch.setattr(history.records, "put", disk_is_full)
            with pytest.raises(CrozeError, match="exit code: 1" if fails else "no space left"):
                await build(history, telemetry, fails=fails)
            events = history.listen(control_pb2.BuildHistoryRequest(EarlyExit=True))
            assert [event async for event in events] == []
            assert ("build a could not be recorded: no space left" in caplog.text) == fails
            assert not telemetry.traces._wanted
    finally:
        await store.close()


async def build(history: BuildHistory, telemetry: Telemetry, *, fails: bool) -> None:
    async with (
        World().solver() as solver,
        recording(history, telemetry, control_pb2.SolveRequest(Ref="a")) as record,
        solver.job("a") as job,
    ):
        record.begin(job)
        if fails:
            raise CrozeError("exit code: 1")


def disk_is_full(*_: object) -> None:
    raise ResourceExhausted("no space left on device")
