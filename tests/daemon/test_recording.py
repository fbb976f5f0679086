"""A build's record names what its result is made of, and that is still there."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from croze.api import control_pb2
from croze.daemon.observing import measuring
from croze.daemon.recording import recording
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
