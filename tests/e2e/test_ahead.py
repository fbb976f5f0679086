"""What a build asked for the last time is begun before it asks again: it gets what is there now,
and nobody sees that something else was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.fs.remove import remove_tree
from tests.e2e.sandbox import Done, Sandbox

OWN = {"Dockerfile", ".dockerignore"}
NO_DOCKERFILE = "failed to read dockerfile: open Dockerfile: no such file or directory"
IGNORED = '"/c": not found'

Change = Callable[[Path], object]


def writing(name: str, text: str) -> Change:
    return lambda context: (context / name).write_text(text)


def removing(name: str) -> Change:
    return lambda context: (context / name).unlink()


def nothing(_: Path) -> None: ...


STEPS: list[tuple[list[Change], dict[str, str] | str]] = [
    ([nothing], {"a": "1", "b": "2"}),
    ([nothing], {"a": "1", "b": "2"}),
    ([writing("a", "11")], {"a": "11", "b": "2"}),
    ([writing("Dockerfile", "FROM scratch\nCOPY c /\n"), writing("a", "111")], {"c": "3"}),
    ([writing(".dockerignore", "c\n")], IGNORED),
    ([removing(".dockerignore"), writing("c", "33")], {"c": "33"}),
    (
        [writing("Dockerfile", "FROM scratch\nCOPY . /\n"), writing(".dockerignore", "b\n")],
        {"a": "111", "c": "33"},
    ),
    ([writing(".dockerignore", "a\n"), removing("c")], {"b": "2"}),
    ([removing("Dockerfile")], NO_DOCKERFILE),
    ([writing("Dockerfile", "FROM scratch\nCOPY . /\n")], {"b": "2"}),
]


@pytest.mark.parametrize("client", ["croze", "trixie"])
def test_what_has_changed_meanwhile_counts(desk: Sandbox, tmp_path: Path, client: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a b /\n", "a": "1", "b": "2", "c": "3"}
    context, out = desk.context(client, files), tmp_path / "out"

    def build() -> Done:
        words: list[str | Path] = [
            "build",
            "--progress=plain",
            f"--output=type=local,dest={out}",
            context,
        ]
        if out.exists():
            remove_tree(str(out))
        if client == "croze":
            return desk.croze(*words, check=False)
        return desk.buildx(client, *words, check=False)

    for changes, wanted in STEPS:
        for change in changes:
            change(context)
        done = build()
        if isinstance(wanted, str):
            assert done.code, done.output
            assert wanted in done.output
            continue
        assert done.code == 0, done.output
        assert {p.name: p.read_text() for p in out.iterdir() if p.name not in OWN} == wanted
        shown = re.findall(r"^#\d+ (\[internal\] load .*)$", done.output, re.MULTILINE)
        assert [*dict.fromkeys(shown)] == [
            "[internal] load build definition from Dockerfile",
            "[internal] load .dockerignore",
            "[internal] load build context",
        ]
        assert not re.search(r"ERROR|CANCELED", done.output)
    records = desk.croze("du", "--verbose", "--filter", "type=source.local").stdout
    mutable = re.findall(r"^Mutable:\s+true", records, re.MULTILINE)
    assert len(mutable) <= 3 * (1 + ["croze", "trixie"].index(client))
