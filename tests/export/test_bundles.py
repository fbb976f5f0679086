"""Attestations that a frontend returns: what it may say, bundles of statements, subjects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from croze.errors import CrozeError, InvalidRequest, ResourceExhausted
from croze.export import bundles
from croze.export.attestations import statement
from croze.export.bundles import from_frontend
from croze.export.contract import Attestation, NamedSubject
from croze.gotypes import gojson
from croze.store.contract import ImmutableRef

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
    one, two = await from_frontend([bundle], ())
    assert (one.predicate_type, one.content, one.path) == ("one", b'{"a":2,"k":[1]}', "/a.json")
    assert list(one.subjects) == [NamedSubject("_", {"sha256": "ab"})]
    assert (two.content, list(two.subjects)) == (b"null", [None])
    assert (one.bundle, one.metadata) == (False, {"reason": b"sbom"})


async def test_subjects_in_their_order(tmp_path: Path, ref: ImmutableRef) -> None:
    (tmp_path / "p.json").write_bytes(b"")
    own = NamedSubject("own", {"sha256": "1"})
    about = [NamedSubject("pkg:a", {"sha256": "2"}), NamedSubject("pkg:b", {"sha256": "2"})]
    one = Attestation("kind", ref=ref, path="/p.json", subjects=[own, None])
    made = json.loads(gojson.marshal(await statement(one, about, ())))
    assert [s["name"] for s in made["subject"]] == ["own", "pkg:a", "pkg:b"]
    assert (made["predicateType"], made["predicate"]) == ("kind", None)


async def test_the_main_sbom_comes_first(ref: ImmutableRef) -> None:
    core = {"sbom-core": b"sbom"}
    statements = [
        Attestation(SPDX, ref=ref, path="extra.spdx.json", metadata=core),
        Attestation(SPDX, ref=ref, path="sbom.spdx.json", metadata=core),
    ]
    assert [a.path for a in await from_frontend(statements, ())] == [
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
        await from_frontend([statement], ())


async def test_content_must_be_there_and_small(
    tmp_path: Path, ref: ImmutableRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CrozeError, match="does not have available content"):
        await from_frontend([Attestation("k", path="/p")], ())
    monkeypatch.setattr(bundles, "MAX_BYTES", 8)
    (tmp_path / "p").write_bytes(bytes(9))
    with pytest.raises(ResourceExhausted, match="/p exceeds 8 bytes"):
        await statement(Attestation("k", ref=ref, path="/p"), [], ())
