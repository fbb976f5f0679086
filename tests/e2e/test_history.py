"""The history of builds, as stock buildx and a client of our own see it."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

from tests.e2e.sandbox import Sandbox
from tests.e2e.test_build import APP, base

FAILING = "FROM base\nRUN echo before; exit 3\n"


def built(sandbox: Sandbox, *words: str | Path, check: bool = True) -> None:
    sandbox.buildx("sid", "build", "-o", "type=cacheonly", *words, check=check)


def rows(sandbox: Sandbox, *words: str) -> list[list[str]]:
    out = sandbox.buildx("sid", "history", "ls", *words).stdout
    return [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()[1:]]


def test_history(sandbox: Sandbox, busybox: Path) -> None:
    app = sandbox.context("app", {"Dockerfile": APP, "one": "1\n", "two": "2\n"})
    bad = sandbox.context("bad", {"Dockerfile": FAILING})
    built(sandbox, *base(busybox), app)
    built(sandbox, *base(busybox), bad, check=False)

    failed, done = rows(sandbox)
    assert [failed[1:3], done[1:3]] == [["bad", "Error"], ["app", "Completed"]]
    assert rows(sandbox, "--filter", "status=error") == [failed]
    assert "RUN cat one two" in sandbox.buildx("sid", "history", "logs", done[0]).output

    shown = json.loads(
        sandbox.buildx("sid", "history", "inspect", "--format=json", failed[0]).stdout
    )
    assert shown["Status"] == "failed"
    assert "exit code: 3" in shown["Error"]["Message"]
    assert "before" in shown["Error"]["Logs"][-1]

    sandbox.stop(signal.SIGKILL)
    sandbox.wait_no_leftovers()
    sandbox.start()
    assert [row[:3] for row in rows(sandbox)] == [failed[:3], done[:3]]
    sandbox.croze("prune", "-a", "-f")
    assert "RUN cat one two" in sandbox.buildx("sid", "history", "logs", done[0]).output

    out = sandbox.path / "app.dockerbuild"
    sandbox.buildx("sid", "history", "export", "-o", out, done[0])
    assert out.stat().st_size > 100
    sandbox.buildx("sid", "history", "rm", "--all")
    assert rows(sandbox) == []


def test_entries_expire(sandbox: Sandbox) -> None:
    empty = sandbox.context("empty", {"Dockerfile": "FROM scratch\n"})
    for _ in range(2):
        built(sandbox, empty)
    assert len(rows(sandbox)) == 2
    assert sandbox.stop() == 0
    config = sandbox.path / "buildkitd.toml"
    config.write_text("[history]\nmaxAge = 0\nmaxEntries = 1\n")
    sandbox.start("--config", str(config))
    assert len(rows(sandbox)) == 1
