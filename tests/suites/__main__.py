"""Run one of BuildKit's integration suites with crozed, or buildx's with croze as well, and what
fails with the real ones, too.

usage: python -m tests.suites BINARY [--sources DIR] [--run REGEX] [--peer BUILDKITD] [-j N]
                              [--network] [--engine] [--frontend PROGRAM]

BINARY is what `go test -c ./frontend/dockerfile` (or `./client`, or buildx's `./tests`) makes, DIR
the package's folder. `buildctl` must be on the PATH, and beside BUILDKITD the real `buildx` for its
suite. Prints what fails, and fails if croze alone does. Where TMPDIR is a long path all fail, as
sockets have short ones. Programs that tests install with apk are this machine's.

Some tests are left out unless one asks for them: with `--network` the suite has CNI's networks in
place of the host's (name the tests with `--run`), with `--engine` buildx's runs on builders in
containers of dockerd, which are BUILDKITD, with `--frontend` the Dockerfile suite on BuildKit's
own frontend, PROGRAM, in a container. DIR within BuildKit's sources brings keys to sign with.

buildx's TestBuildProgress looks for lines of buildx's own display on a terminal, and fails. A test
that says `failed dialing socket` has had no processor: a daemon must answer within 15 s. Where
`wget -T` is asked of Debian's busybox, it crashes, and so do tests of proxies on bridges.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from croze.fs.temporary import temporary_directory
from tests.suites import mirror, surroundings

_RESULT = re.compile(r"^    --- (PASS|FAIL|SKIP): (\S+)", re.MULTILINE)
_HIDDEN = re.compile(r"(containerd|ctr|dockerd|buildkit|buildctl|buildx|croze)")
"""What the suites would run as well, if they found it."""
_OTHERS = re.compile(r"(buildkit|buildctl|buildx|croze)")
"""The same where dockerd is wanted."""
_DAEMON = """\
import sys
import croze.version
croze.version.BUILDKIT_VERSION = "v1.0.0"
from croze.daemon.main import main
sys.exit(main())
"""
"""buildx's suite leaves out what BuildKit of crozed's version would not have had."""
_WORKERS = "/.*/worker=(oci|remote)"
"""BuildKit's suites run on the first, buildx's on the second."""
_CONTAINERS = "/.*/worker=(docker-container|remote.multinode)"


@dataclass(frozen=True)
class Suite:
    binary: Path
    sources: Path | None
    folder: Path
    at_once: int
    apart: Sequence[str]
    """The words before its own that give it networks and mounts of its own."""
    extra: Mapping[str, str]
    """Variables beyond the usual ones."""

    def run(self, daemon: str, client: str, pattern: str, log: Path) -> Mapping[str, str]:
        """What came of each test, by its name. `daemon`: a shell command's words; `client`: what
        goes by the name of buildx."""
        programs = self._programs(daemon, client)
        env = {
            "PATH": f"{programs}:{self.folder / 'path'}",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            "BUILDKIT_REGISTRY_MIRROR_DIR": str(self.folder / "mirror"),
            "GOMAXPROCS": str(self.at_once),
            "TEST_BUILDX_EXPERIMENTAL": "1",
            "CROZE_RUNTIME_DIR": str(self.folder / "run"),
            "CROZE_NO_WARM": os.environ.get("CROZE_NO_WARM", "1"),
            **self.extra,
        }
        words = [str(self.binary), "-test.v", "-test.timeout=6h", f"-test.run={pattern}"]
        with log.open("wb") as out:
            command = ["nice", *self.apart, *words, f"-test.parallel={self.at_once}"]
            subprocess.run(command, env=env, stdout=out, stderr=out, cwd=self.sources, check=False)
        found = _RESULT.findall(log.read_text("utf-8", "replace"))
        return {name: result for result, name in found if "/worker=containerd" not in name}

    def _programs(self, daemon: str, client: str) -> Path:
        folder = Path(tempfile.mkdtemp(dir=self.folder))  # noqa: TID251 - in one that goes
        program = folder / "buildkitd"
        program.write_text(f'#!/bin/sh\nexec {daemon} "$@"\n')
        program.chmod(0o755)
        (folder / "buildx").symlink_to(client)
        for name, target in (("registry", "docker-registry"), ("buildctl", "buildctl")):
            found = shutil.which(target)
            if found is None:
                raise SystemExit(f"{target} is not on the PATH")
            (folder / name).symlink_to(found)
        return folder


def _link_programs(folder: Path, hidden: re.Pattern[str]) -> None:
    """Everything on the PATH but what would be tested besides."""
    folder.mkdir()
    for place in map(Path, os.environ["PATH"].split(":")):
        for program in place.iterdir() if place.is_dir() else ():
            link = folder / program.name
            if not hidden.match(program.name) and not link.is_symlink():
                link.symlink_to(program)


def _failed(results: Mapping[str, str]) -> list[str]:
    return sorted(name for name, result in results.items() if result == "FAIL")


def _only(names: Iterable[str], workers: str) -> str:
    """A pattern for the tests of these names."""
    tests = "|".join(sorted({name.split("/")[1] for name in names}))
    return f"/^({tests})$/{workers.rpartition('/')[2]}"


def _suite(args: argparse.Namespace, folder: Path) -> Suite:
    """The suite that was asked for, and what it needs below `folder`."""
    (folder / "tmp").mkdir()
    _link_programs(folder / "path", _OTHERS if args.engine else _HIDDEN)
    daemon = surroundings.daemon_root(Path(args.peer), folder) if args.engine else None
    mirror.fill(folder / "mirror", daemon)
    extra = dict(surroundings.engine_flags(folder / "engine")) if args.engine else {}
    if args.frontend:
        extra |= surroundings.frontend_image(args.frontend, folder / "frontend")
    configs = surroundings.fixtures(args.sources) if args.network else None
    if configs is not None:
        extra["BUILDKIT_RUN_NETWORK_INTEGRATION_TESTS"] = "1"
    scripts = surroundings.fixtures(args.sources) if args.sources else None
    if scripts is not None:
        extra |= surroundings.signing_keys(scripts, folder / "keys")
    apart = surroundings.apart(configs) if args.network or args.engine else []
    return Suite(args.binary.resolve(), args.sources, folder, args.j, apart, extra)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites", description=__doc__)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--sources", type=Path)
    parser.add_argument("--run", default="")
    parser.add_argument("--peer", default="")
    parser.add_argument("-j", type=int, default=2)
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--engine", action="store_true")
    parser.add_argument("--frontend", type=Path)
    args = parser.parse_args()
    workers = _CONTAINERS if args.engine else _WORKERS
    with temporary_directory("suites") as name:
        folder = Path(name)
        suite = _suite(args, folder)
        log = Path(f"{args.binary.name}.log")
        croze = Path(sys.executable).with_name("croze")
        daemon = folder / "daemon.py"
        daemon.write_text(_DAEMON)
        results = suite.run(f"{sys.executable} {daemon}", str(croze), args.run or workers, log)
        failed = _failed(results)
        print(dict(Counter(results.values())), f"(see {log})")
        if failed and args.peer:
            peer_log = log.with_suffix(".peer.log")
            buildx = str(Path(args.peer).with_name("buildx"))
            peers = suite.run(args.peer, buildx, _only(failed, workers), peer_log)
            both = [name for name in failed if peers.get(name) == "FAIL"]
            failed = [name for name in failed if name not in both]
            for name in both:
                print("failed with both:", name)
    for name in failed:
        print("failed:", name)
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
