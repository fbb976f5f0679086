"""`croze` called `buildctl`, on a crozed: what BuildKit's documents and suites do with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze import llb
from tests.e2e.sandbox import CROZE, Done, Sandbox, execute


class Buildctl:
    def __init__(self, desk: Sandbox, link: Path) -> None:
        self._env = {**desk.env, "BUILDKIT_HOST": desk.address}
        self._link = link
        self.context = desk.context("c", {"Dockerfile": "FROM scratch\nCOPY f /\n", "f": "x"})

    def __call__(self, *words: str | Path, check: bool = True, stdin: bytes | None = None) -> Done:
        return execute([self._link, *words], self._env, check=check, stdin=stdin)

    def build(self, *words: str | Path, check: bool = True) -> Done:
        """Of the Dockerfile."""
        given = [f"--local={name}={self.context}" for name in ("context", "dockerfile")]
        return self("build", "--frontend", "dockerfile.v0", *given, *words, check=check)


@pytest.fixture(scope="module")
def buildctl(desk: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Buildctl:
    link = tmp_path_factory.mktemp("bin") / "buildctl"
    link.symlink_to(CROZE)
    return Buildctl(desk, link)


def test_a_frontend_builds(buildctl: Buildctl, tmp_path: Path) -> None:
    done = buildctl.build(
        *("--output", f"type=local,dest={tmp_path}/out", "--progress=plain"),
        *("--opt", "target=", "--metadata-file", tmp_path / "meta", "--ref-file", tmp_path / "ref"),
        *("--trace", tmp_path / "trace", "--export-cache", f"type=local,dest={tmp_path}/cache"),
    )
    assert (tmp_path / "out/f").read_text() == "x"
    assert "[1/1] COPY f /" in done.stderr
    assert "cache.manifest" in json.loads((tmp_path / "meta").read_text())
    assert (tmp_path / "ref").read_text().isalnum()
    names = {
        vertex["name"]
        for line in (tmp_path / "trace").read_text().splitlines()
        for vertex in json.loads(line).get("vertexes", [])
    }
    assert "[1/1] COPY f /" in names
    again = buildctl.build("--progress=plain", "--import-cache", f"type=local,src={tmp_path}/cache")
    assert "CACHED" in again.stderr


def test_an_archive_goes_to_standard_output(buildctl: Buildctl, tmp_path: Path) -> None:
    buildctl.build("--output", f"type=docker,name=x,dest={tmp_path}/image.tar")
    assert (tmp_path / "image.tar").stat().st_size > 1000
    done = buildctl.build("--output", "type=tar", "--no-cache")
    assert "ustar" in done.stdout


def test_what_a_frontend_tells(buildctl: Buildctl) -> None:
    done = buildctl.build("--opt", "requestid=frontend.targets", "--progress=quiet")
    assert "TARGET" in done.stdout


def test_a_definition_from_standard_input(buildctl: Buildctl, tmp_path: Path) -> None:
    made = llb.scratch().file(llb.mkfile("/greeting", data=b"hi")).marshal()
    out = f"type=local,dest={tmp_path}/out"
    buildctl("build", "--output", out, "--no-cache", stdin=made.SerializeToString())
    assert (tmp_path / "out/greeting").read_text() == "hi"
    refused = buildctl("build", check=False)
    assert "please specify --frontend or pipe LLB definition to stdin" in refused.stderr
    refused = buildctl("build", check=False, stdin=b"")
    assert "empty definition sent to build" in refused.stderr


def test_a_failure_shows_the_file(buildctl: Buildctl) -> None:
    (buildctl.context / "D2").write_text("FROM scratch\nCOPY nope /\n")
    done = buildctl.build("--opt", "filename=D2", "--progress=plain", check=False)
    assert done.code == 1
    assert "2 | >>> COPY nope /" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: failed to solve: ")


def test_the_daemon_is_asked(buildctl: Buildctl, desk: Sandbox) -> None:
    workers = buildctl("debug", "workers").stdout
    assert workers.splitlines()[0].split() == ["ID", "PLATFORMS"]
    assert "linux/amd64" in workers
    assert "GC Policy rule#0:" in buildctl("debug", "workers", "-v").stdout
    (worker,) = json.loads(buildctl("debug", "workers", "--format", "{{json .}}").stdout)
    assert list(worker)[:3] == ["id", "labels", "platforms"]
    assert buildctl("debug", "info").stdout.startswith("BuildKit:   croze ")
    lines = buildctl("du").stdout.splitlines()
    assert lines[0].split("\t")[-1] == "LAST ACCESSED"
    assert lines[-1].startswith("Total:")
    assert "Usage count:" in buildctl("du", "--verbose").stdout
    assert buildctl("prune", "--all", "--keep-duration", "0s").stdout.startswith("ID\t")
    assert buildctl("prune").stdout == "Total:\t0B\n"
    assert buildctl("prune-histories").stdout.count("COMPLETE\t") >= 1
    assert buildctl("prune-histories").stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["foo"], 3, "No help topic for 'foo'"),
        (["build", "--foo"], 1, "error: flag provided but not defined: -foo"),
        (["--addr", "unix:///nowhere", "du"], 1, "error: there is no daemon at unix:///nowhere"),
        (["--addr", "ftp://x", "du"], 1, "error: unrecognized url scheme ftp"),
        (["debug", "monitor"], 1, "buildctl debug monitor is not there"),
        (["build", "--frontend=x", "--proxy-network"], 1, "--proxy-network is not there"),
        (["du", "--format", "{{.ID}}"], 1, "of templates only '{{json .}}' is there"),
        (["prune", "--keep-storage", "x"], 1, 'invalid value "x" for flag --keep-storage'),
        (["--timeout", "soon", "du"], 1, "a number of seconds is needed"),
    ],
)
def test_refusals(buildctl: Buildctl, words: list[str], code: int, why: str) -> None:
    done = buildctl(*words, check=False)
    assert done.code == code
    assert why in done.stderr


def test_help(buildctl: Buildctl) -> None:
    assert buildctl().stdout == buildctl("--help").stdout
    assert "prune-histories" in buildctl("help").stdout
    assert buildctl("--version").stdout.startswith("buildctl croze v")
