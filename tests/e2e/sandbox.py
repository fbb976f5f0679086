"""A daemon of a test's own: root, sockets, registry, and proof that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.processes import command_line
from tests.support.waiting import PATIENCE_S, eventually, free_port, listens, turns

REPO = Path(__file__).resolve().parents[2]
CROZE = Path(sys.executable).parent / "croze"
BUILDX = {
    suite: REPO / ".cache/peers" / suite / "root/usr/libexec/docker/cli-plugins/docker-buildx"
    for suite in ("trixie", "sid")
}
COMPOSE = BUILDX["trixie"].with_name("docker-compose")
COMMAND_TIMEOUT_S = 4 * PATIENCE_S
"""Several steps, each of which may take as long: a build took more than a minute and a half where
twenty processes had one core."""
KEPT = ("PATH", "LANG", "TMPDIR")
"""Of the environment that the tests run in; and what measures coverage in every process."""


class CommandFailed(AssertionError):
    """A command that should have succeeded did not."""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def execute(
    command: Sequence[str | Path],
    env: Mapping[str, str],
    *,
    cwd: Path | None = None,
    stdin: bytes | None = None,
    check: bool = True,
) -> Done:
    """Run to the end; with `check`, anything but success fails the test with all output."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        env=dict(env),
        cwd=cwd,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    result = Done(
        done.returncode,
        done.stdout.decode(errors="replace"),
        done.stderr.decode(errors="replace"),
    )
    if check and result.code != 0:
        raise CommandFailed(f"{' '.join(words)}: exit {result.code}\n{result.output}")
    return result


@dataclass
class Sandbox:
    """Everything below `path`; nothing of the machine's own daemon or settings is touched."""

    path: Path
    daemon: subprocess.Popen[bytes] | None = None
    is_guarded: bool = False
    """Somebody sees to the end of what is started."""
    is_measured: bool = True
    """By `make coverage`; not where work is counted."""
    extra_env: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    """Words before every command, which make it another user's."""
    python: tuple[str | Path, ...] = (sys.executable,)

    @property
    def root(self) -> Path:
        return self.path / "root"

    @property
    def runtime(self) -> Path:
        return self.path / "run"

    @property
    def socket(self) -> Path:
        return self.runtime / "crozed.sock"

    @property
    def address(self) -> str:
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        return self.path / "crozed.log"

    @property
    def env(self) -> dict[str, str]:
        keep = {
            name: value
            for name, value in os.environ.items()
            if name in KEPT or (self.is_measured and name.startswith("COVERAGE_"))
        }
        return {
            **keep,
            "HOME": str(self.path),
            "DOCKER_CONFIG": str(self.path / ".docker"),
            "BUILDX_CONFIG": str(self.path / ".docker/buildx"),
            "CROZE_ROOT": str(self.root),
            "CROZE_RUNTIME_DIR": str(self.runtime),
            "CROZE_NO_WARM": "1",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            **self.extra_env,
        }

    def start(self, *flags: str) -> None:
        """Start the daemon and wait until it is ready. Whoever does so is within `ending`, or
        `killing`: nothing outlives a test that fails."""
        assert self.is_guarded, "start it within `ending`"
        self.runtime.mkdir(parents=True, exist_ok=True)
        ready, write = os.pipe()
        command = [*self.prefix, *map(str, self.python), "-m", "croze.daemon"]
        command += [
            "--addr",
            self.address,
            "--root",
            str(self.root),
            "--debug",
            "--ready-fd",
            str(write),
            *flags,
        ]
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.env, pass_fds=(write,), cwd="/"
            )
        os.close(write)
        with open(ready, "rb") as pipe:
            if pipe.read(1) != b"1":
                raise CommandFailed(f"crozed did not start:\n{self.log_text()}")

    @contextlib.contextmanager
    def killing(self) -> Iterator[Self]:
        """The daemon that runs at the end, if any does, is killed."""
        self.is_guarded = True
        try:
            yield self
        finally:
            self.is_guarded = False
            if self.daemon is not None:
                self.daemon.kill()
                self.daemon.wait()

    @contextlib.contextmanager
    def ending(self) -> Iterator[Self]:
        """The daemon that runs at the end, if any does, must stop cleanly; nothing is left of any,
        and none had a traceback in its log."""
        with self.killing():
            yield self
            if self.daemon is not None:
                assert self.stop() == 0, self.log_text()
            assert self.wait_no_leftovers() == []
            assert "Traceback" not in self.log_text(), self.log_text()

    @contextlib.contextmanager
    def running(self, *flags: str) -> Iterator[Self]:
        """With a daemon, to the end."""
        with self.ending():
            self.start(*flags)
            yield self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop the daemon; its exit code (negative for the signal that ended it)."""
        assert self.daemon is not None
        self.daemon.send_signal(number)
        code = self.daemon.wait(PATIENCE_S)
        self.daemon = None
        return code

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def croze(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        stdin: bytes | None = None,
        check: bool = True,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run the real CLI against this sandbox's daemon."""
        program = [*self.prefix, *self.python, "-m", "croze.cli.thin"] if self.prefix else [CROZE]
        return execute(
            [*program, *words], {**self.env, **(env or {})}, cwd=cwd, stdin=stdin, check=check
        )

    def buildx(
        self, suite: str, *words: str | Path, check: bool = True, stdin: bytes | None = None
    ) -> Done:
        """Run Debian's unmodified `docker-buildx` with a remote builder on this daemon."""
        binary = BUILDX[suite]
        instance = self.path / ".docker/buildx/instances/croze"
        if not instance.exists():
            create = ["create", "--driver", "remote", "--name", "croze", self.address]
            execute([binary, *create], self.env)
        return execute([binary, "--builder", "croze", *words], self.env, check=check, stdin=stdin)

    def context(self, name: str, files: Mapping[str, str | bytes]) -> Path:
        """A build context below this sandbox."""
        folder = self.path / "contexts" / name
        for relative, content in files.items():
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            target.write_bytes(data)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def leftovers(self) -> list[str]:
        """Processes and mounts that still know this sandbox. Empty is right after `stop`."""
        marker = str(self.path)
        found = [
            f"mount {m}" for m in Path("/proc/self/mounts").read_text().splitlines() if marker in m
        ]
        for process in Path("/proc").glob("[0-9]*"):
            words = command_line(int(process.name))
            if marker in words and int(process.name) != os.getpid():
                found.append(f"process {process.name} {words}")
        return found

    def wait_no_leftovers(self) -> list[str]:
        """What never goes: children of a killed daemon need a moment to notice."""
        for _ in turns():
            if not self.leftovers():
                break
        return self.leftovers()


@contextlib.contextmanager
def registry(folder: Path, auth: str = "") -> Iterator[str]:
    """Debian's `docker-registry` on loopback; yields `host:port`. `auth` is YAML."""
    binary = shutil.which("docker-registry")
    assert binary, "docker-registry is not installed: make setup-test"
    port = free_port()
    folder.mkdir(parents=True)
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{auth}"
    )
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log)
    try:
        eventually(lambda: listens(port), (folder / "log").read_text, process=process)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
