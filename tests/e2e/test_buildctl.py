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
        locals_ = [f"--local={name}={self.context}" for name in ("context", "dockerfile")]
        return self("build", "--frontend", "dockerfile.v0", *locals_, *words, check=check)


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


COUNTS = ("total", "completed", "user_total", "user_cached", "user_completed", "user_cacheable")


def test_metrics_of_the_cache(buildctl: Buildctl, tmp_path: Path) -> None:
    """The words are the real buildctl's; a base image is no miss, and counts as none cacheable."""
    (buildctl.context / "D3").write_text("FROM scratch\nCOPY f /g\n")
    metrics = tmp_path / "metrics"
    metrics.write_text("old" * 1000)
    words = ("--opt", "filename=D3", "--debug-json-cache-metrics")
    buildctl.build(*words, metrics)
    missed, told = metrics.read_text().splitlines()
    assert missed == "cache miss: [1/1] COPY f /g"
    counts = json.loads(told)
    assert list(counts) == [*COUNTS, "from", "miss", "client_duration_ms"]
    assert [counts[name] for name in COUNTS[2:]] == [1, 0, 1, 1]
    assert counts["total"] == counts["completed"] > 1
    assert (counts["from"], counts["miss"]) == (0, 1)
    for place, stream in (("stdout", "stdout"), ("stderr", "stderr")):
        done = buildctl.build(*words, place, "--progress=plain")
        last = getattr(done, stream).splitlines()[-1]
        assert json.loads(last)["user_cached"] == 1
    refused = buildctl.build(*words, tmp_path, check=False)
    assert refused.stderr.splitlines()[-1].endswith(": is a directory")


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


def test_records_are_looked_at(buildctl: Buildctl, tmp_path: Path) -> None:
    buildctl.build("--ref-file", tmp_path / "ref", "--proxy-network", "--no-cache")
    ref = (tmp_path / "ref").read_text()
    listed = buildctl("debug", "histories", "--format", "{{.Type}} {{.Record.Ref}}").stdout
    assert f"COMPLETE {ref}" in listed.splitlines()
    assert "COPY f /" in buildctl("debug", "logs", "--progress=plain", ref).stdout
    buildctl("debug", "ctl", "--pin", ref)
    (row,) = [r for r in buildctl("debug", "histories").stdout.splitlines() if ref in r]
    assert row.endswith("*")
    events = buildctl("debug", "histories", "--format", "json").stdout.splitlines()
    (event,) = [e for e in map(json.loads, events) if e["record"]["Ref"] == ref]
    assert event["record"]["FrontendAttrs"] == {"no-cache": ""}
    blob = buildctl("debug", "get", event["record"]["logs"]["digest"]).stdout
    assert "COPY f /" in blob
    assert json.loads(buildctl("debug", "logs", "--trace", ref).stdout.splitlines()[0])
    buildctl("debug", "ctl", "--delete", ref)
    assert ref not in buildctl("debug", "histories").stdout


def test_definitions_are_shown(buildctl: Buildctl, tmp_path: Path) -> None:
    """Lines of the JSON are as the real buildctl prints them."""
    made = llb.scratch().file(llb.mkfile("/a", data=b"hi")).file(llb.mkdir("/d")).marshal()
    (tmp_path / "llb").write_bytes(made.SerializeToString())
    first, _, last = buildctl("debug", "dump-llb", tmp_path / "llb").stdout.splitlines()
    assert first.startswith(
        '{"Op":{"Op":{"file":{"actions":[{"input":-1,"secondaryInput":-1,"output":0,"Action":'
        '{"mkfile":{"path":"/a","mode":420,"data":"aGk=","timestamp":-1}}}]}},"constraints":{}},'
        '"Digest":"sha256:'
    )
    assert '"Op":{}},"Digest"' in last
    drawn = buildctl("debug", "dump-llb", "--dot", tmp_path / "llb").stdout.splitlines()
    assert drawn[0] == "digraph {"
    assert drawn[1].endswith('" [label="mkfile{path=/a}" shape="note"];')
    graph = execute([CROZE, "llb", "dump", "--dot", tmp_path / "llb"], buildctl._env).stdout
    assert graph.splitlines() == drawn


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (["foo"], 3, "No help topic for 'foo'"),
        (["build", "--foo"], 1, "error: flag provided but not defined: -foo"),
        (["--addr", "unix:///nowhere", "du"], 1, "error: there is no daemon at unix:///nowhere"),
        (["--addr", "ftp://x", "du"], 1, "error: unrecognized url scheme ftp"),
        (["debug", "dump-metadata"], 1, "dump-metadata is not there: the store's metadata is"),
        (["debug", "foo"], 3, "No help topic for 'foo'"),
        (["debug", "get"], 1, "blob digest must be specified"),
        (["debug", "logs", "nope"], 1, "no such job nope"),
        (["debug", "ctl", "x"], 1, "must specify one of --pin, --unpin, --delete"),
        (["debug", "ctl", "x", "--pin", "--unpin"], 1, "cannot specify both --pin and --unpin"),
        (["build", "--frontend=x", "--ssh=a=raw=true"], 1, 'exactly one socket path for "a"'),
        (["build", "--frontend=x", "--ssh=a=raw=2,b"], 1, "invalid value for 'raw': 2"),
        (
            ["build", "--frontend=x", "--registry-auth-tlscontext=host=r"],
            1,
            "--registry-auth-tlscontext requires ca=<ca> or cert=<cert>,key=<key>",
        ),
        (["du", "--format", "{{.ID"], 1, "template: :1: unclosed action"),
        (["prune", "--keep-storage", "x"], 1, 'invalid value "x" for flag -keep-storage'),
        (["prune", "--keep-storage=inf"], 1, "-keep-storage: value out of range"),
        (["--timeout", "soon", "du"], 1, 'invalid value "soon" for flag -timeout: strconv.Pars'),
        (["du", "word", "-addr", "unix:///nowhere"], 1, "there is no daemon at unix:///nowhere"),
        (["debug", "--addr=unix:///no", "workers"], 1, "there is no daemon at unix:///no"),
        (["--", "du", "--addr=unix:///no"], 1, "there is no daemon at unix:///no"),
        (["-", "du"], 3, "No help topic for '-'"),
        (["help", "foo"], 3, "No help topic for 'foo'"),
        (["--log-format", "x", "du"], 1, 'error: unsupported log type "x"'),
        (["du", "--log-format=x"], 1, 'error: unsupported log type "x"'),
        (["build", "-frontend"], 1, "error: flag needs an argument: -frontend"),
        (["build", "-no-cache=maybe"], 1, 'invalid value "maybe" for flag -no-cache: parse error'),
    ],
)
def test_what_is_not_here_is_refused_by_name(
    buildctl: Buildctl, words: list[str], code: int, why: str
) -> None:
    done = buildctl(*words, check=False)
    assert done.code == code
    assert why in done.stderr


def test_help_lists_the_commands(buildctl: Buildctl) -> None:
    assert buildctl().stdout == buildctl("--help").stdout
    lines = buildctl("help").stdout.splitlines()
    rows = [(line[3:19].strip(), line[20:]) for line in lines if line.startswith("   ")]
    assert {"prune-histories", "build, b", "help, h"} <= {name for name, _ in rows}
    assert '   --log-format string     log formatter: json or text (default: "text")' in lines
    assert buildctl("--log-format=x", "du", "--log-format=json").stdout
    assert buildctl("--version").stdout.startswith("buildctl croze v")
