"""What every `Exporter` must do. Subclass with a `delivery` fixture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from croze.errors import CrozeError, InvalidRequest
from croze.export.contract import ExportContext, ExportSource
from croze.export.open import open_exporter
from croze.store.contract import ImmutableRef
from tests.export.results import make_ref, services, single
from tests.sources.rig import Rig


@dataclass(frozen=True)
class Delivery:
    """One exporter of a type, and who takes what it gives. `malformed` attributes are refused."""

    kind: str
    attrs: Mapping[str, str]
    malformed: Mapping[str, str]
    session: str = ""
    """Empty for one that needs none."""

    async def run(
        self, rig: Rig, source: ExportSource, session: str | None = None
    ) -> Mapping[str, str]:
        taker = self.session if session is None else session
        exporter = open_exporter(self.kind, self.attrs, services(rig))
        context = ExportContext(taker, [taker] if taker else [], rig.progress, "0")
        return await exporter.export(source, context)


class ExporterSuite:
    """The contract as tests. The rig looks whether anything is left behind."""

    @pytest.fixture
    async def ref(self, rig: Rig) -> ImmutableRef:
        return await make_ref(rig, {"a": "one"}, {"sub/b": "two" * 1000})

    async def test_it_has_a_name_for_progress(self, rig: Rig, delivery: Delivery) -> None:
        assert open_exporter(delivery.kind, delivery.attrs, services(rig)).name

    async def test_bad_attributes_are_refused_before_anything_is_built(
        self, rig: Rig, delivery: Delivery
    ) -> None:
        for name, value in delivery.malformed.items():
            with pytest.raises(InvalidRequest):
                open_exporter(delivery.kind, {name: value}, services(rig))

    async def test_the_same_result_gives_the_same_answer(
        self, rig: Rig, delivery: Delivery, ref: ImmutableRef
    ) -> None:
        source = single(ref, rows=2)
        first = await delivery.run(rig, source)
        assert await delivery.run(rig, source) == first
        assert all(isinstance(value, str) for value in first.values())
        assert rig.progress.unfinished() == []
        await ref.release()  # it is still the caller's

    async def test_nothing_can_be_delivered(self, rig: Rig, delivery: Delivery) -> None:
        await delivery.run(rig, single(None, rows=0))
        assert rig.progress.unfinished() == []

    async def test_who_is_not_there_can_take_nothing(
        self, rig: Rig, delivery: Delivery, ref: ImmutableRef
    ) -> None:
        if delivery.session:
            with pytest.raises(CrozeError):
                await delivery.run(rig, single(ref, rows=2), session="gone")
        await ref.release()

    async def test_who_is_cancelled_leaves_nothing(
        self, rig: Rig, delivery: Delivery, ref: ImmutableRef
    ) -> None:
        source = single(ref, rows=2)
        for turns in range(0, 40, 8):
            work = asyncio.ensure_future(  # noqa: TID251 - owned right here
                delivery.run(rig, source)
            )
            for _ in range(turns):
                await asyncio.sleep(0)
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        await delivery.run(rig, source)
        await ref.release()
