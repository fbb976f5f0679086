"""The command line: what buildx takes is done, warned of or refused as buildx does it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from croze.cli.build import flags, options
from croze.cli.call import CallMode
from croze.cli.common import Common
from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Sandbox, execute

FILES = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "b"}


@pytest.mark.parametrize(
    ("old", "warning"),
    [
        (["--compress", "--rm", "--force-rm", "--rm=false"], ""),
        (["--isolation=x"], "isolation flag is deprecated with BuildKit."),
        (
            ["--security-opt", "x"],
            'security-opt flag is deprecated. "RUN --security=insecure" should be used with '
            "BuildKit.",
        ),
        (
            ["--squash"],
            "experimental flag squash is removed with BuildKit. You should squash inside build "
            "using a multi-stage Dockerfile for efficiency.",
        ),
    ],
)
def test_flags_from_before_buildkit(desk: Sandbox, old: list[str], warning: str) -> None:
    context = desk.context("old-flags", FILES)
    done = desk.croze("build", "-q", *old, context)
    assert done.stderr == (f"WARNING: {warning}\n" if warning else "")
    assert done.stdout.startswith("sha256:")


def test_old_flags_for_resources_set_limits(desk: Sandbox, busybox: Path) -> None:
    context = desk.context("limits", {"Dockerfile": "FROM base\nRUN echo ran\n"})
    wrong = desk.croze("build", "--cpu-quota=x", *base(busybox), context, check=False)
    assert wrong.code == 1
    assert 'invalid value "x" for resource cpu-quota: strconv.ParseInt' in wrong.stderr
    words = ["-m", "64m", "--memory-swap=128m", "-c", "5", "--cpu-period=10000"]
    words += ["--cpu-quota=5000", "--cpuset-cpus=0", "--cpuset-mems=0", "--resource=memory=32m"]
    assert desk.croze("build", *words, *base(busybox), context).code == 0
    wanted = options(flags().read([*words, "."], Common()), CallMode())
    assert wanted.resources == [
        *("memory=64m", "memory-swap=128m", "cpu-shares=5", "cpu-period=10000"),
        *("cpu-quota=5000", "cpuset-cpus=0", "cpuset-mems=0", "memory=32m"),
    ]


def test_help_offers_nothing_without_effect(desk: Sandbox) -> None:
    text = desk.croze("build", "--help").stdout + desk.croze("run", "--help").stdout
    for name in ("--compress", "--isolation", "--squash", "--security-opt", "--rm", "--memory"):
        assert name not in text


def test_help_of_a_command(desk: Sandbox) -> None:
    for name in ("build", "du", "llb", "run"):
        told = desk.croze("help", name).stdout
        assert told == desk.croze(name, "--help").stdout
        assert told.startswith(f"Usage:  croze {name} ")


@pytest.mark.parametrize(
    "words",
    [
        ["build", "-q", "."],
        ["du"],
        ["images"],
        ["prune", "-f"],
        ["debug", "info"],
        ["llb", "dump", "."],
    ],
)
def test_the_builder_may_be_named_anywhere(desk: Sandbox, words: list[str]) -> None:
    context = desk.context("builder", FILES)
    there = {"CROZE_RUNTIME_DIR": "/nowhere", "CROZE_ROOT": "/nowhere"}
    named = ["--builder", desk.address]
    for at in range(len(words) + 1):
        line = [*words[:at], *named, *words[at:]]
        assert desk.croze(*line, cwd=context, env=there).code == 0, line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "--taag", "x", "."], "unknown flag: --taag"),
        (["build", "-Z", "."], "unknown shorthand flag: 'Z' in -Z"),
        (["build", "-t"], "flag needs an argument: 't' in -t"),
        (["build", "--tag"], "flag needs an argument: --tag"),
        (["build", "--builder"], "flag needs an argument: --builder"),
        (["--builder"], "flag needs an argument: --builder"),
        (["--nope", "build"], "unknown flag: --nope"),
        (["build"], "'croze build' requires 1 argument"),
        (
            ["build", "-q=x", "."],
            'invalid argument "x" for "-q, --quiet" flag: strconv.ParseBool: '
            'parsing "x": invalid syntax',
        ),
        (["nonsense"], 'unknown command: "nonsense"'),
        (["run", "--rm=false", "x"], "--rm=false: containers are always removed when they end"),
        (["version", "x"], "'croze version' requires 0 arguments"),
    ],
)
def test_mistakes_on_the_command_line(desk: Sandbox, words: list[str], message: str) -> None:
    done = desk.croze(*words, check=False)
    assert (done.code, done.stderr.splitlines()[0]) == (1, f"ERROR: {message}")


def test_tags_are_checked_whatever_the_output(desk: Sandbox, tmp_path: Path) -> None:
    context = desk.context("tags", FILES)
    out = f"type=local,dest={tmp_path}/out"
    done = desk.croze("build", "-t", "UPPER:x", "-o", out, context, check=False)
    message = 'failed to build: invalid tag "UPPER:x": repository name must be lowercase'
    assert (done.code, done.stderr) == (1, f"ERROR: {message}\n")


def test_an_empty_platform_is_refused(desk: Sandbox) -> None:
    context = desk.context("platform", FILES)
    done = desk.croze("build", "--platform=", context, check=False)
    assert done.code == 1
    assert '"" is an invalid OS component of ""' in done.stderr


def test_the_default_platform(desk: Sandbox) -> None:
    context = desk.context("platform", FILES)
    env = {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}
    for words, wanted in (([], "linux/arm64"), (["--platform=linux/s390x"], "linux/s390x")):
        desk.croze("build", "-q", *words, "-t", "plat", context, env=env)
        assert wanted in desk.croze("images").stdout


def test_attestations_are_no_platform_of_an_image(desk: Sandbox) -> None:
    context = desk.context("attested", FILES)
    desk.croze("build", "-q", "--provenance=true", "-t", "attested", context)
    assert "unknown" not in desk.croze("images").stdout


def test_no_default_load(desk: Sandbox) -> None:
    context = desk.context("unloaded", FILES)
    build: list[str | Path] = ["build", "-q", "-t", "unloaded", context]
    for value, warning, there in (
        ("1", "", False),
        ("x", "WARNING: invalid non-bool value for BUILDX_NO_DEFAULT_LOAD: x\n", True),
    ):
        done = desk.croze(*build, env={"BUILDX_NO_DEFAULT_LOAD": value})
        assert done.stderr == warning
        assert ("unloaded" in desk.croze("images").stdout) is there


def test_warnings_in_the_metadata_file(desk: Sandbox, tmp_path: Path) -> None:
    context = desk.context("warned", {"Dockerfile": "from scratch\nCOPY a /\n", "a": "b"})
    file = tmp_path / "m.json"
    build: list[str | Path] = ["build", "-q", "--metadata-file", file, context]
    desk.croze(*build)
    assert "buildx.build.warnings" not in json.loads(file.read_text())
    desk.croze(*build, env={"BUILDX_METADATA_WARNINGS": "true"})
    [warning] = json.loads(file.read_text())["buildx.build.warnings"]
    assert set(warning) == {"vertex", "level", "short", "detail", "url", "sourceInfo", "range"}
    assert warning["range"] == [{"start": {"line": 1}, "end": {"line": 1}}]
    assert set(warning["sourceInfo"]) == {"filename", "data", "language"}


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--metadata-file", "invalid output path: stat /proc/nope: no such file or directory"),
        ("--iidfile", "writing image ID file: open /proc/nope/x: no such file or directory"),
    ],
)
def test_files_that_cannot_be_written(desk: Sandbox, flag: str, message: str) -> None:
    context = desk.context("files", FILES)
    done = desk.croze("build", "--progress=quiet", flag, "/proc/nope/x", context, check=False)
    assert (done.code, done.stderr) == (1, f"ERROR: {message}\n")


@pytest.mark.parametrize("flag", ["--metadata-file", "--iidfile"])
@pytest.mark.parametrize("wanted", ["Dockerfile", "nope"])
def test_devices_stay_on_the_machine(desk: Sandbox, tmp_path: Path, flag: str, wanted: str) -> None:
    """Root could put a file in the place of `/dev/null`, and of what `/dev/stdout` leads to."""
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (tmp_path / "stdout").symlink_to("null")
    text = f"FROM scratch\nCOPY {wanted} /\n"
    for name in ("null", "stdout"):
        words: list[str | Path] = [
            "build",
            "-q",
            "--output=type=cacheonly",
            flag,
            tmp_path / name,
            "-f-",
        ]
        context = desk.context("devices", FILES | {"Dockerfile": ""})
        desk.croze(*words, context, stdin=text.encode(), check=False)
    assert (tmp_path / "null").is_char_device()
    assert (tmp_path / "stdout").is_symlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "-q", "--iidfile=new/", "files"], "writing image ID file: open new/: is a "),
        (
            ["build", "-q", "--iidfile=files/Dockerfile/", "files"],
            "removing image ID file: remove files/Dockerfile/: not a ",
        ),
        (
            ["build", "-q", "--output=type=tar,dest=new/", "files"],
            "failed to build: invalid destination file: open new/: is a ",
        ),
        (
            ["history", "export", "-o", "new/"],
            'failed to create output file "new/": open new/: is a ',
        ),
    ],
)
def test_what_ends_with_a_slash_is_no_file(
    desk: Sandbox, tmp_path: Path, words: list[str], message: str
) -> None:
    context = desk.context("files", FILES)
    desk.croze("build", "-q", context)
    shutil.copytree(context, tmp_path / "files")
    done = desk.croze(*words, cwd=tmp_path, check=False)
    assert (done.code, done.stderr) == (1, f"ERROR: {message}directory\n")
    assert [path.name for path in tmp_path.iterdir()] == ["files"]


def test_other_files_that_are_not_as_wanted(desk: Sandbox, tmp_path: Path) -> None:
    """In plain words, not in Python's."""
    program = "import sys; from croze import llb; s = llb.scratch().file(llb.mkfile('/a', 'b'))"
    program += "; sys.stdout.buffer.write(s.marshal().SerializeToString())"
    definition = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    for words, message in (
        (["dump", "/proc/nope"], "/proc/nope: no such file or directory"),
        (
            ["build", "--metadata-file", "/proc/nope/x"],
            "writing metadata file: open /proc/nope/x: no such file or directory",
        ),
    ):
        done = desk.croze("llb", *words, stdin=definition.stdout, check=False)
        assert (done.code, done.stderr.splitlines()[-1]) == (1, f"ERROR: {message}")
    context = desk.context("files", FILES)
    done = desk.croze("build", "--iidfile", tmp_path, context, check=False)
    assert done.stderr == f"ERROR: writing image ID file: open {tmp_path}: is a directory\n"


def modes(top: Path) -> dict[str, str]:
    """Mode and kind of everything, blobs as one."""
    found = {}
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top).as_posix()
        shown = "blob" if "blobs/sha256/" in name else name
        found[shown] = stat.filemode(path.lstat().st_mode)
    return found


@pytest.mark.parametrize("umask", ["0022", "0000", "0077"])
def test_modes_of_what_is_made(desk: Sandbox, tmp_path: Path, umask: str) -> None:
    """Recorded from buildx."""
    context = desk.context("modes", FILES)
    os.chmod(context / "a", 0o644)
    outputs = ["-o", "type=local,dest=l/x", "-o", "type=oci,tar=false,dest=o/y"]
    outputs += ["-o", "type=tar,dest=tar", "--cache-to", "type=local,dest=c/z"]
    files = ["--metadata-file", "meta"]
    shell = f'umask {umask}; exec "$@"'
    words = [str(CROZE), "build", "-q", *outputs, *files, str(context)]
    execute(["sh", "-c", shell, "-", *words], desk.env, cwd=tmp_path)
    directory, blob, index = "drwxr-xr-x", "-r--r--r--", "-rw-r--r--"
    file = "-rw-r--r--" if umask == "0022" else "-rw-rw-rw-"
    if umask == "0077":
        directory, blob, index, file = "drwx------", "-r--------", "-rw-------", "-rw-------"
    layout = ("blobs", "blobs/sha256")
    assert modes(tmp_path) == {
        **{name: directory for top in ("c", "o") for name in (top, f"{top}/{'zy'[top == 'o']}")},
        **{f"{top}/{name}": directory for top in ("c/z", "o/y") for name in layout},
        **{f"{top}/{name}": index for top in ("c/z", "o/y") for name in LAYOUT_FILES},
        "blob": blob,
        "l": "drwx------",
        "l/x": "drwx------",
        "l/x/a": "-rw-r--r--",
        "meta": "-rw-r--r--",
        "tar": file,
    }


LAYOUT_FILES = ("index.json", "oci-layout")


@pytest.mark.parametrize(
    "words",
    ["-q", "--progress=quiet", "--progress=none", "-q --progress=none", "-q --progress=tty"],
)
def test_quiet_builds_say_what_buildx_s_say(desk: Sandbox, words: str) -> None:
    """The id, but for `none`; on standard output alone."""
    context = desk.context("quiet", {"Dockerfile": "FROM scratch\nLABEL a=b\n"})
    command = ["build", *words.split(), "--output", "type=image,name=quiet", str(context)]
    theirs = desk.buildx("sid", *command, check=False)
    ours = desk.croze("--builder", "croze", *command, check=False)
    assert (ours.code, ours.stdout) == (theirs.code, theirs.stdout)
    if ours.code == 0:
        assert ours.stderr == theirs.stderr == ""
