"""A megabyte of Dockerfile, hundreds of patterns and sources: what goes as gRPC headers fits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import BUILDX, Done, Sandbox

COMMENT = "# " + "long " * 199 + "line\n"
MANY_LINES = COMMENT * 1000
SOURCES = 300
Build = Callable[..., Done]


def with_croze(desk: Sandbox, *words: str | Path) -> Done:
    return desk.croze("build", "--progress=plain", *words, check=False)


def with_buildx(desk: Sandbox, *words: str | Path) -> Done:
    return desk.buildx("trixie", "build", "--progress=plain", *words, check=False)


BUILDS = [
    with_croze,
    pytest.param(
        with_buildx,
        marks=pytest.mark.skipif(not BUILDX["trixie"].exists(), reason="no docker-buildx"),
    ),
]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("kilobytes", [12, 1000])
def test_a_failure_is_shown(desk: Sandbox, busybox: Path, build: Build, kilobytes: int) -> None:
    text = f"FROM base\n{COMMENT * kilobytes}RUN exit 3\n"
    context = desk.context(f"failing{kilobytes}", {"Dockerfile": text})
    done = build(desk, *base(busybox), context)
    assert done.code != 0
    assert "did not complete successfully: exit code: 3" in done.stderr
    assert f"Dockerfile:{kilobytes + 2}" in done.stderr
    assert ">>> RUN exit 3" in done.stderr


@pytest.mark.parametrize("build", BUILDS)
def test_a_mistake_is_shown(desk: Sandbox, busybox: Path, build: Build) -> None:
    context = desk.context("mistaken", {"Dockerfile": f"FROM base\n{MANY_LINES}RUN --foo x\n"})
    done = build(desk, *base(busybox), context)
    assert "dockerfile parse error on line 1002: unknown flag: --foo" in done.stderr
    assert ">>> RUN --foo x" in done.stderr


@pytest.mark.parametrize("build", BUILDS)
def test_a_large_one_builds(desk: Sandbox, busybox: Path, build: Build) -> None:
    context = desk.context("large", {"Dockerfile": f"FROM base\n{MANY_LINES}RUN true\n"})
    assert build(desk, *base(busybox), context).code == 0


@pytest.mark.parametrize("build", BUILDS)
def test_many_sources_and_patterns(
    desk: Sandbox, busybox: Path, tmp_path: Path, build: Build
) -> None:
    names = [f"a-rather-long-name-of-a-file-{n:04}" for n in range(SOURCES)]
    copies = "".join(f"COPY {name} /\n" for name in names[: SOURCES // 2])
    rest = " ".join(names[SOURCES // 2 :])
    ignored = "".join(f"a-rather-long-name-that-is-ignored-{n:04}\n" for n in range(2000))
    text = f"FROM base AS b\nWORKDIR /w\nCOPY {rest} ./\nFROM scratch\n{copies}COPY --from=b /w /\n"
    files = {"Dockerfile": text, ".dockerignore": ignored, **dict.fromkeys(names, "x")}
    context = desk.context("many", files)
    done = build(desk, *base(busybox), "-o", tmp_path / "out", context)
    assert done.code == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
