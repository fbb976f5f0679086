"""Real bundles, good and spoilt, as Sigstore's own conformance suite has them."""

from __future__ import annotations

import functools
import json
import lzma
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from croze.sigstore import bundle, trust
from croze.sigstore.errors import NotVerified
from croze.sigstore.verify import verify

DATA = Path(__file__).parent / "data" / "conformance.json.xz"


@functools.cache
def data() -> dict[str, Any]:
    return dict(json.loads(lzma.decompress(DATA.read_bytes())))


@pytest.mark.parametrize("name", sorted(data()["cases"]))
def test_what_sigstore_go_says_is_said(name: str) -> None:
    case = data()["cases"][name]
    root = trust_of(case["root"])
    expected = case["expected"]
    if expected is None:
        with pytest.raises(NotVerified):
            verify(bundle.parse(case["bundle"].encode()), case["digest"], root())
        return
    found = verify(bundle.parse(case["bundle"].encode()), case["digest"], root())
    assert found.signer == expected["signer"]
    assert found.predicate_type == expected.get("predicateType", "")
    assert [(w.kind, w.uri, w.moment) for w in found.witnesses] == [
        (t["type"], t["uri"], datetime.fromisoformat(t["timestamp"].replace("Z", "+00:00")))
        for t in expected["timestamps"]
    ]


def trust_of(name: str) -> Any:
    return functools.partial(trust.parse, data()["roots"][name].encode())


def test_none_is_lost() -> None:
    cases = data()["cases"].values()
    assert (len(cases), sum(case["expected"] is not None for case in cases)) == (70, 19)
