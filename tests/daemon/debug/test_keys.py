"""Cache keys as BuildKit shows them."""

from __future__ import annotations

import json

import pytest

from croze.cachekeys.contract import KeyLink
from croze.daemon.debug.keys import KeyGraph, as_json, as_text, from_cache_config
from croze.errors import InvalidRequest

ROOT, RANDOM = "sha256:" + "a" * 64, "random:" + "b" * 64
OP, CONTENT = "sha256:" + "c" * 64, "sha256:" + "d" * 64


def graph() -> KeyGraph:
    made = KeyGraph()
    made.record(ROOT)
    made.record(RANDOM)
    made.link(ROOT, KeyLink(1, 0, OP), "0123")
    made.link(RANDOM, KeyLink(0, 0, OP, CONTENT), "0123")
    return made


def test_keys_as_text_are_buildkits() -> None:
    assert "".join(as_text(graph().records())) == (
        f"ID: 1\nDigest: {ROOT}\nChildren:\n  Input 1:\t 3\n\n"
        f"ID: 2 (random)\nDigest: sha256:{'b' * 64}\nChildren:\n  Input 0:\t 3\n\n"
        f"ID: 3\nParents:\n  Input 0:\t2\t{OP}\n    Selector: {CONTENT}\n"
        f"  Input 1:\t1\t{OP}\n\n"
    )


def test_keys_as_json_are_buildkits() -> None:
    _, random, reached = as_json(graph().records())
    assert random == {
        "id": 2,
        "digest": f"sha256:{'b' * 64}",
        "random": True,
        "children": {"0": {"3": {}}},
    }
    assert reached["parents"] == [
        {"input": 1, "output": 0, "digest": OP, "target": 1},
        {"input": 0, "output": 0, "digest": OP, "selector": CONTENT, "target": 2},
    ]


def test_a_caches_configuration() -> None:
    config = {
        "layers": [],
        "records": [
            {"digest": ROOT},
            {"digest": OP, "inputs": [[{"link": 0, "selector": CONTENT}]]},
        ],
    }
    first, second = as_json(from_cache_config(json.dumps(config).encode()).records())
    assert (first["digest"], second.get("digest")) == (ROOT, None)
    assert second["parents"] == [
        {"input": 0, "output": 0, "digest": OP, "selector": CONTENT, "target": 1}
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"records": [{"inputs": [[{"link": 7}]]}]}'])
def test_what_is_no_cache_configuration_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="failed to load cache"):
        from_cache_config(text.encode())
