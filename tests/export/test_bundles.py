"""Attestations that a frontend returns: what it may say, bundles of statements, subjects."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from croze.api import gateway_pb2
from croze.daemon.build.results import export_source
from croze.errors import CrozeError, InvalidRequest, ResourceExhausted
from croze.export import predicates
from croze.export.attestations import statement
from croze.export.bundles import from_frontend
from croze.export.contract import Attestation, NamedSubject
from croze.gateway.results import BridgeAttestation, BridgeResult, Subject
from croze.store.contract import ImmutableRef
from croze.workers.pool import WorkerPool
from tests.store.pools import ThreadPool

SPDX = "https://spdx.dev/Document"


class Folder:
    """As much of a ref as attestations need."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @asynccontextmanager
    async def mounted(self, *, readonly: bool, sessions: Sequence[str] = ()) -> AsyncIterator[Path]:
        assert readonly
        yield self._path


@pytest.fixture
def ref(tmp_path: Path) -> ImmutableRef:
    return cast(ImmutableRef, Folder(tmp_path))


def write(folder: Path, name: str, **values: object) -> None:
    (folder / name).write_text(json.dumps({"_type": "x", **values}))


async def test_a_bundle_is_taken_apart(tmp_path: Path, ref: ImmutableRef) -> None:
    write(tmp_path, "b.json", predicateType="two", predicate=None, subject=None)
    subject = {"name": "_", "digest": {"sha256": "ab"}}
    write(tmp_path, "a.json", predicateType="one", predicate={"k": [1], "a": 2}, subject=[subject])
    bundle = Attestation("", ref=ref, path="/", bundle=True, metadata={"reason": b"sbom"})
    one, two = await from_frontend([bundle], (), ThreadPool())
    assert (one.predicate_type, one.content, one.path) == ("one", b'{"a":2,"k":[1]}', "/a.json")
    assert list(one.subjects) == [NamedSubject("_", {"sha256": "ab"})]
    assert (two.content, list(two.subjects)) == (b"null", [None])
    assert (one.bundle, one.metadata) == (False, {"reason": b"sbom"})


async def test_a_bundle_of_odd_bytes(tmp_path: Path, ref: ImmutableRef) -> None:
    """Numbers and texts as Go has them, and a file whose name is no UTF-8."""
    said = b'{"predicateType": "k", "predicate": {"a": "\xff", "n": [1.0, 1e21, 9007199254740993]}}'
    (tmp_path / os.fsdecode(b"\xff.json")).write_bytes(said)
    bundle = Attestation("", ref=ref, path="/", bundle=True, metadata={"sbom-core": b"sbom"})
    (one,) = await from_frontend([bundle], (), ThreadPool())
    assert one.content == '{"a":"\ufffd","n":[1,1e+21,9007199254740992]}'.encode()


async def test_subjects_in_their_order(tmp_path: Path, ref: ImmutableRef) -> None:
    (tmp_path / "p.json").write_bytes(b"")
    own = NamedSubject("own", {"sha256": "1"})
    about = [NamedSubject("pkg:a", {"sha256": "2"}), NamedSubject("pkg:b", {"sha256": "2"})]
    one = Attestation("kind", ref=ref, path="/p.json", subjects=[own, None])
    made = json.loads(await statement(one, about, (), ThreadPool()))
    assert [s["name"] for s in made["subject"]] == ["own", "pkg:a", "pkg:b"]
    assert (made["predicateType"], made["predicate"]) == ("kind", None)


async def test_the_main_sbom_comes_first(ref: ImmutableRef) -> None:
    core = {"sbom-core": b"sbom"}
    statements = [
        Attestation(SPDX, ref=ref, path="extra.spdx.json", metadata=core),
        Attestation(SPDX, ref=ref, path="sbom.spdx.json", metadata=core),
    ]
    assert [a.path for a in await from_frontend(statements, (), ThreadPool())] == [
        "sbom.spdx.json",
        "extra.spdx.json",
    ]


@pytest.mark.parametrize(
    ("kind", "path", "is_bundle", "message"),
    [
        ("https://slsa.dev/provenance/v1", "/p", False, "frontend may not set provenance"),
        ("", "", False, "attestation does not have set path"),
        ("other", "/said", True, "bundle entry https://slsa.dev/provenance/v0.2 does not match"),
        ("", "/said", True, "frontend may not bundle provenance attestations"),
        ("", "/junk", True, "cannot decode in-toto statement"),
        ("", "/../..", True, "leaves the attestation's directory"),
        ("", "/deep", True, "/deep/folder is not a regular file"),
    ],
)
async def test_what_is_refused(
    tmp_path: Path, ref: ImmutableRef, kind: str, path: str, is_bundle: bool, message: str
) -> None:
    for folder in ("said", "junk", "deep/folder"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path / "said", "p.json", predicateType="https://slsa.dev/provenance/v0.2")
    (tmp_path / "junk/x.json").write_text("[]")
    statement = Attestation(kind, ref=ref, path=path, bundle=is_bundle)
    with pytest.raises(InvalidRequest, match=message):
        await from_frontend([statement], (), ThreadPool())


async def test_content_must_be_there_and_small(
    tmp_path: Path, ref: ImmutableRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CrozeError, match="does not have available content"):
        await from_frontend([Attestation("k", path="/p")], (), ThreadPool())
    monkeypatch.setattr(predicates, "MAX_BYTES", 8)
    (tmp_path / "p").write_bytes(bytes(9))
    with pytest.raises(ResourceExhausted, match="/p exceeds 8 bytes"):
        await statement(Attestation("k", ref=ref, path="/p"), [], (), ThreadPool())


async def test_all_statements_together_are_bounded(
    tmp_path: Path, ref: ImmutableRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are held until they are written."""
    for number in range(3):
        write(tmp_path, f"{number}.json", predicateType="k", predicate="x" * 1000)
    bundle = Attestation("", ref=ref, path="/", bundle=True)
    assert len(await from_frontend([bundle], (), ThreadPool())) == 3
    monkeypatch.setattr(predicates, "MOST_BYTES", 2500)
    with pytest.raises(ResourceExhausted, match="the statements in / exceed 2500 bytes"):
        await from_frontend([bundle], (), ThreadPool())


async def test_no_statement_takes_the_memory_of_the_daemon(
    tmp_path: Path, ref: ImmutableRef
) -> None:
    """Of empty lists there are twenty times as many bytes in memory, and of what is deeply nested
    thousands of times as many when it is indented."""
    lists = "[" + "[]," * 5_000_000 + "[]]"
    (tmp_path / "lists.json").write_text(f'{{"predicateType": "k", "predicate": {lists}}}')
    nested = "[" * 800 + "[]," * 2_000_000 + "[]" + "]" * 800
    (tmp_path / "nested").write_text(nested)
    before = peak_bytes()
    async with WorkerPool(1) as pool:
        bundle = Attestation("", ref=ref, path="/", bundle=True)
        (tmp_path / "only").mkdir()
        (tmp_path / "lists.json").rename(tmp_path / "only/lists.json")
        (one,) = await from_frontend([replace(bundle, path="/only")], (), pool)
        compact = await statement(one, [], (), pool)
        assert lists.encode() in compact
        with pytest.raises(ResourceExhausted):
            await statement(Attestation("k", ref=ref, path="/nested"), [], (), pool, indent=True)
    assert peak_bytes() - before < 20 * len(lists)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def test_a_subject_without_a_digest(ref: ImmutableRef) -> None:
    subject = Subject(gateway_pb2.Raw, "s", ("sha256",))
    attached = BridgeAttestation(
        kind=gateway_pb2.InToto, predicate_type="k", path="/p", ref=None, metadata={},
        subjects=(subject,),
    )  # fmt: skip
    result = BridgeResult(attestations={"": (attached,)})
    with pytest.raises(InvalidRequest, match="invalid digest of an attestation's subject"):
        await export_source(result, (), ThreadPool())
