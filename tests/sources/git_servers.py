"""Git repositories, and servers that give them out: git's own, over HTTP, and over SSH."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from croze.registry.transport import Retry
from croze.sources.git.source import GitSource, GitSources
from croze.sources.request import SourceRequest
from croze.store.contract import ImmutableRef
from tests.sources.rig import Rig
from tests.support.waiting import PATIENCE_S, free_port

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/dev/null",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_COMMITTER_DATE": "1600000000 +0000",
    "GIT_AUTHOR_DATE": "1600000000 +0000",
}


class Remote:
    """A repository that a git server gives out."""

    def __init__(self, folder: Path, url: str, *init: str) -> None:
        self.folder = folder
        self.url = url
        folder.mkdir(parents=True)
        self.git("-c", "init.defaultBranch=main", "init", "-q", *init)
        (folder / ".git" / "git-daemon-export-ok").touch()

    def git(self, *args: str, environment: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", self.folder, *args],
            check=True,
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, **(environment or {})},
        )
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str], *options: str) -> str:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "c", *options)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    base = tmp_path / "repos"
    base.mkdir()
    port = free_port()
    process = subprocess.Popen(
        [
            *("git", "daemon", "--verbose", "--reuseaddr", "--listen=127.0.0.1"),
            *(f"--port={port}", f"--base-path={base}", base),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert "Ready to rumble" in process.stderr.readline()
    try:
        yield base, f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(PATIENCE_S)
        process.stderr.close()


@pytest.fixture
def remote(server: tuple[Path, str]) -> Remote:
    base, url = server
    return Remote(base / "app", f"{url}/app")


@pytest.fixture
def sources(rig: Rig) -> GitSources:
    return GitSources(rig.store.refs, rig.daemon.sessions, rig.images, Retry(0.001, 0.008))


def source(
    sources: GitSources, remote: Remote, fragment: str = "", attrs: Mapping[str, str] | None = None
) -> GitSource:
    all_attrs = {f"git.{key}": value for key, value in (attrs or {}).items()}
    all_attrs["git.fullurl"] = remote.url
    return sources.open_git(SourceRequest(f"git://host/app{fragment}", all_attrs))


async def files(ref: ImmutableRef | None) -> dict[str, str]:
    assert ref is not None
    async with ref.mounted(readonly=True) as root:
        found = {
            str(p.relative_to(root)): p.read_text()
            for p in root.rglob("*")
            if p.is_file() and ".git" not in p.relative_to(root).parts
        }
    await ref.release()
    return found


class HttpBackend:
    """Repositories below a folder, for those who know the password, if there is one."""

    def __init__(self, base: Path, password: str = "") -> None:
        self._base = base
        self._wanted = f"basic {base64.b64encode(f'x-access-token:{password}'.encode()).decode()}"
        self._open = not password
        self.asked: list[str] = []
        self.faults: list[Callable[[web.Request], Awaitable[web.Response]]] = []
        self.app = web.Application()
        self.app.router.add_route("*", "/{path:.*}", self.handle)

    async def handle(self, request: web.Request) -> web.Response:
        authorization = request.headers.get("Authorization", "")
        self.asked.append(authorization)
        if self.faults:
            return await self.faults.pop(0)(request)
        if not self._open and authorization != self._wanted:
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        process = await asyncio.create_subprocess_exec(
            *("git", "http-backend"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**ENVIRONMENT, **self._cgi(request)},
        )
        answer, _ = await process.communicate(await request.read())
        head, _, body = answer.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=body)

    def _cgi(self, request: web.Request) -> Mapping[str, str]:
        return {
            "GIT_PROJECT_ROOT": str(self._base),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            # git trusts only what belongs to its user
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
        }


@contextmanager
def ssh_server(folder: Path, authorized: Path) -> Iterator[tuple[int, str]]:
    """Lets root in with a key. Gives the port and a line of `known_hosts`."""
    port = free_port()
    host_key = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key], check=True)
    config = folder / "sshd_config"
    config.write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {host_key}\nAuthorizedKeysFile {authorized}\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
        "PermitRootLogin prohibit-password\nLogLevel INFO\n"
    )
    os.makedirs("/run/sshd", exist_ok=True)
    process = subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        assert "Server listening" in process.stderr.readline()
        kind, key, *_ = host_key.with_suffix(".pub").read_text().split()
        yield port, f"[127.0.0.1]:{port} {kind} {key}\n"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        process.stderr.close()
