"""Names that are told apart: a reader who meets a class away from home must not have to guess which
of several it is."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.sources

SRC = Path(__file__).parent.parent / "src" / "croze"

SHARED = {
    "Result": "of an op (BuildKit's word, in half of the engine), and `croze.Result`, of a build",
}
"""Names that may be used twice, and why."""


_IMPORT = re.compile(r"^ *from (croze\.[\w.]+) import (\([^)]*\)|.*)$", re.MULTILINE)
_CLASS = re.compile(r"^class ([A-Za-z]\w*)", re.MULTILINE)


def room(module: str) -> str:
    """The package a module is of."""
    return module.split(".")[1] if "." in module else module


def test_classes_that_leave_their_package_share_no_names() -> None:
    texts = {
        ".".join(("croze", *path.relative_to(SRC).with_suffix("").parts)): path.read_text("utf-8")
        for path in sorted(SRC.rglob("*.py"))
        if not path.stem.endswith(("_pb2", "_pb2_grpc"))
    }
    importers: dict[tuple[str, str], set[str]] = defaultdict(set)
    """The packages that import a name, by its module and itself."""
    for module, text in texts.items():
        for source, names in _IMPORT.findall(text):
            for name in re.findall(r"\w+", names):
                importers[source, name].add(room(module))
    traveling: dict[str, set[str]] = defaultdict(set)
    for module, text in texts.items():
        for name in _CLASS.findall(text):
            if importers[module, name] - {room(module)}:
                traveling[name].add(module)
    shared = {name: sorted(where) for name, where in traveling.items() if len(where) > 1}
    assert not {name: where for name, where in shared.items() if name not in SHARED}
    assert shared.keys() == SHARED.keys(), "an exception that is none any more"
