"""Compose files as definitions."""

from __future__ import annotations

import pytest

from croze.errors import CrozeError
from tests.bake.world import FakeWorld, printed


def test_a_service_that_builds_is_a_target() -> None:
    text = """
services:
  web:
    image: app:${TAG:-latest}
    build:
      context: ./web
      args: {A: "1", B: }
      x-bake:
        tags: [app:x]
        platforms: linux/arm64
  db:
    image: postgres
"""
    world = FakeWorld(environment={"TAG": "7", "B": "from outside"})
    found = printed({"compose.yaml": text}, world=world)
    assert found["group"]["default"]["targets"] == ["web"]
    web = found["target"]["web"]
    assert web["tags"] == ["app:x"]
    assert web["args"] == {"A": "1", "B": "from outside"}
    assert web["platforms"] == ["linux/arm64"]


def test_extends_and_include_read_other_files() -> None:
    files = {
        "base.yaml": (
            "services:\n  base:\n    build:\n      context: .\n      args: {A: base, C: c}\n"
        ),
        "more.yaml": "services:\n  more:\n    build: ./more\n",
    }
    text = """
include: [more.yaml]
services:
  web:
    extends: {file: base.yaml, service: base}
    build:
      args: {A: web}
"""
    world = FakeWorld(files=files)
    found = printed({"compose.yaml": text}, ["web", "more"], world=world)["target"]
    assert found["web"]["args"] == {"A": "web", "C": "c"}
    assert sorted(found) == ["more", "web"]


def test_a_file_that_extends_itself_ends() -> None:
    text = "services:\n  a:\n    extends: {service: b}\n  b:\n    extends: {service: a}\n"
    with pytest.raises(CrozeError):
        printed({"compose.yaml": text})


def test_anchors_that_multiply_are_refused() -> None:
    lines = ['a0: &a0 ["x","x","x","x","x","x","x","x","x"]']
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    text = "x-bomb:\n" + "".join(f"  {line}\n" for line in lines)
    with pytest.raises(CrozeError):
        printed({"compose.yaml": text + "services:\n  web:\n    build: .\n"})


def test_bytes_that_are_no_text() -> None:
    for text, problem in (
        ('services:\n  a:\n    build: "\udcff"\n', "offset 27: invalid leading UTF-8 octet"),
        ('services:\n  a:\n    build: "\udcc3("\n', "offset 28: invalid trailing UTF-8 octet"),
    ):
        with pytest.raises(CrozeError, match=f"yaml: {problem}"):
            printed({"compose.yaml": text})
