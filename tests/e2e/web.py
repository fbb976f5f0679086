"""A web server on loopback: files of a folder, and its git repositories by `git http-backend`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

from croze.http.urls import parse_url
from tests.e2e.sandbox import execute
from tests.support.waiting import eventually, free_port
from tests.support.web_server import answering

COMMIT_TIME = "2020-02-02T02:02:02+00:00"
LAST_MODIFIED = "Sat, 01 Jan 2022 00:00:00 GMT"


class Handler(BaseHTTPRequestHandler):
    """Of a folder."""

    folder: ClassVar[Path]
    seen: ClassVar[list[str]]

    def log_message(self, *words: object) -> None:
        """Nothing on stderr."""

    def do_GET(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        if ".git/" in self.path:
            return self._git()
        file = self.folder / parse_url(self.path).path.lstrip("/")
        if not file.is_file():
            return self.send_error(404)
        data = file.read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304)
            self.send_header("ETag", tag)
            return self.end_headers()
        self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Last-Modified", LAST_MODIFIED)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_HEAD = do_POST = do_GET

    def _git(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        url = parse_url(self.path)
        env = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        done = subprocess.run(
            ["git", "http-backend"],
            input=self.rfile.read(length),
            env=env,
            stdout=subprocess.PIPE,
            check=True,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def handler(folder: Path, seen: list[str]) -> type[BaseHTTPRequestHandler]:
    """A request handler for the files below `folder`; `seen` gets `METHOD target`."""
    return type("Handler", (Handler,), {"folder": folder, "seen": seen})


@contextlib.contextmanager
def web(folder: Path, seen: list[str]) -> Iterator[str]:
    """Serve `folder`; yields `http://host:port`."""
    with answering(handler(folder, seen)) as url:
        yield url


@contextlib.contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """Serve the repositories in `folder`; yields `git://host:port`."""
    port = free_port()
    words = ["git", "daemon", f"--base-path={folder}", "--export-all", "--listen=127.0.0.1"]
    words += [f"--port={port}", "--reuseaddr", "--enable=upload-pack", str(folder)]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        try:
            url = f"git://127.0.0.1:{port}"
            look = ["git", "ls-remote", f"{url}/repo.git"]
            eventually(
                lambda: not subprocess.run(look, capture_output=True, check=False).returncode,
                process=process,
            )
            yield url
        finally:
            process.terminate()


def git(repo: Path, *words: str) -> str:
    """Run git in `repo` with fixed names and times; its output, stripped."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    for role in ("AUTHOR", "COMMITTER"):
        env |= {
            f"GIT_{role}_NAME": "t",
            f"GIT_{role}_EMAIL": "t@t",
            f"GIT_{role}_DATE": COMMIT_TIME,
        }
    env |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    return execute(["git", "-C", repo, *words], env).stdout.strip()


def repository(folder: Path) -> dict[str, str]:
    """A bare `repo.git` in `folder`; commits by name: first, second, side, tagged.

    master: first - second; branch `side` from first; annotated tag v1 on first.
    """
    work = folder / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "master")
    (work / "Dockerfile").write_text("FROM scratch\nCOPY which sub /\n")
    (work / "which").write_text("first\n")
    (work / "sub/inner").mkdir(parents=True)
    (work / "sub/Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (work / "sub/inner/file").write_text("inner\n")
    (work / "sub/run").write_text("#!/bin/sh\n")
    (work / "sub/run").chmod(0o755)
    git(work, "add", ".")
    git(work, "commit", "-qm", "first")
    commits = {"first": git(work, "rev-parse", "HEAD")}
    git(work, "tag", "-a", "v1", "-m", "v1")
    git(work, "checkout", "-qb", "side")
    (work / "which").write_text("side\n")
    git(work, "commit", "-qam", "side")
    commits["side"] = git(work, "rev-parse", "HEAD")
    git(work, "checkout", "-q", "master")
    (work / "which").write_text("second\n")
    git(work, "commit", "-qam", "second")
    commits["second"] = git(work, "rev-parse", "HEAD")
    bare = folder / "repo.git"
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    return commits
