"""Why steps miss the cache, and what a build will do: through the real CLI and daemon."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, Done, Sandbox
from tests.e2e.watched import until
from tests.support.waiting import PATIENCE_S

APP = """\
FROM base AS build
ARG VERSION=1
ENV KIND=plain
WORKDIR /src
COPY src ./
RUN echo $VERSION > /version && cat a b > /both
FROM base
COPY --from=build /both /both
RUN wc -l /both > /lines
"""
COPY, RUN, TAKE, LAST = (
    "[build 2/4] COPY src ./",
    "[build 3/4] RUN echo 1 > /version && cat a b > /both",
    "[stage-1 1/3] COPY --from=build /both /both",
    "[stage-1 2/3] RUN wc -l /both > /lines",
)


class App:
    """One context and how it is built."""

    def __init__(self, sandbox: Sandbox, busybox: Path, name: str = "app") -> None:
        self.sandbox = sandbox
        self.busybox = busybox
        files = {"Dockerfile": APP, "src/a": f"{name}\n", "src/b": "2\n", "src/sub/c": "3\n"}
        self.path = sandbox.context(name, files)

    def build(self, *flags: str, client: str = "croze", check: bool = True) -> Done:
        words: list[str | Path] = ["build", *base(self.busybox), "--progress=plain"]
        words += [*flags, self.path]
        if client == "croze":
            return self.sandbox.croze(*words, check=check)
        return self.sandbox.buildx(client, *words, check=check)

    def why(self, *words: str) -> dict[str, list[dict[str, Any]]]:
        """Reasons of the steps that missed, by name."""
        done = self.sandbox.croze("why", "--format=json", *words)
        return {step["name"]: step["reasons"] for step in json.loads(done.stdout)["steps"]}

    def plan(self, *flags: str) -> dict[str, dict[str, Any]]:
        done = self.build("--call=plan,format=json", *flags)
        return {step["name"]: step for step in json.loads(done.stdout)["steps"]}

    def edit(self, old: str, new: str) -> None:
        file = self.path / "Dockerfile"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))


@pytest.fixture
def app(desk: Sandbox, busybox: Path, request: pytest.FixtureRequest) -> App:
    """A context of the test's own on the file's daemon."""
    return App(desk, busybox, request.node.name)


@pytest.fixture
def lone(sandbox: Sandbox, busybox: Path) -> App:
    """A context on a daemon of the test's own."""
    return App(sandbox, busybox)


def kinds(reasons: list[dict[str, Any]]) -> list[str]:
    return [reason["kind"] for reason in reasons]


def test_files_that_changed_are_named(app: App) -> None:
    first = app.build()
    assert "croze why" not in first.output
    assert {kind for r in app.why().values() for kind in kinds(r)} <= {"new", "parent"}
    (app.path / "src/a").write_text("changed\n")
    (app.path / "src/sub/new").write_text("new\n")
    (app.path / "src/sub/c").unlink()
    second = app.build()
    told = "3 files changed: src/a, src/sub/c (removed), src/sub/new (added) (croze why)"
    line = f"4 of 6 steps ran, from [build 2/4] COPY src ./: {told}"
    assert second.stderr.splitlines()[-1] == line
    assert "warning" not in second.stderr
    found = app.why()
    assert list(found) == [COPY, RUN, TAKE, LAST]
    (files,) = found[COPY]
    assert files["kind"] == "files"
    assert files["subject"] == "the build context"
    assert files["files"] == [
        {"path": "src/a", "kind": "changed"},
        {"path": "src/sub/c", "kind": "removed"},
        {"path": "src/sub/new", "kind": "added"},
    ]
    assert found[RUN] == [{"kind": "parent", "subject": COPY}]
    assert kinds(found[TAKE]) == ["files", "parent"]
    assert found[TAKE][0]["files"] == [{"path": "both", "kind": "changed"}]
    assert found[LAST] == [{"kind": "parent", "subject": TAKE}]


def test_permissions_are_told_from_content(app: App) -> None:
    app.build()
    (app.path / "src/a").chmod(0o600)
    (app.path / "src/b").write_text("other\n")
    (app.path / "src/b").chmod(0o600)
    assert "2 files changed: src/a (permissions), src/b (croze why)\n" in app.build().stderr
    assert app.why()[COPY][0]["files"] == [
        {"path": "src/a", "kind": "mode"},
        {"path": "src/b", "kind": "changed"},
    ]


def test_text_for_people(app: App) -> None:
    app.build()
    (app.path / "src/a").write_text("changed for people\n")
    app.build()
    text = app.sandbox.croze("why").stdout
    lines = text.splitlines()
    assert lines[0].startswith("Build ")
    assert lines[0].endswith("of Dockerfile, 0 seconds ago") or "second" in lines[0]
    assert lines[1] == "4 of 6 steps missed the cache."
    assert lines[3:6] == [
        f"{COPY}  (Dockerfile:5)",
        "  1 of 3 files changed in the build context:",
        "    M src/a",
    ]
    assert lines[-1].startswith("Compared with build ")
    one = app.sandbox.croze("why", "build 3/4").stdout
    assert f"{RUN}  (Dockerfile:6)\n  follows {COPY}\n" in one
    assert COPY not in one.replace(f"follows {COPY}", "")
    assert f"{RUN}  (Dockerfile:6)\n" in app.sandbox.croze("why", ":6").stdout
    missing = app.sandbox.croze("why", "9/9", check=False)
    assert (missing.code, "is called 9/9" in missing.stderr) == (1, True)


def test_a_build_argument(app: App) -> None:
    app.build()
    done = app.build("--build-arg=VERSION=2")
    line = "[build 3/4] RUN echo 2 > /version && cat a b > /both"
    told = "build argument VERSION: 1 → 2 (croze why)"
    assert f"1 of 6 steps ran, from {line}: {told}" == done.stderr.splitlines()[-1]
    found = app.why()
    (reasons,) = found.values()
    assert reasons == [{"kind": "argument", "subject": "VERSION", "old": "1", "new": "2"}]
    words = [*base(app.busybox), "--quiet", "--build-arg=VERSION=3"]
    assert app.sandbox.croze("build", *words, app.path).stderr == ""


def test_an_environment_variable(app: App) -> None:
    app.build()
    app.edit("KIND=plain", "KIND=odd")
    app.build()
    reasons = app.why()[RUN]
    assert reasons == [{"kind": "environment", "subject": "KIND", "old": "plain", "new": "odd"}]


def test_an_instruction(app: App) -> None:
    app.build()
    app.edit("RUN wc -l /both", "RUN wc -c /both")
    app.build()
    (reasons,) = app.why().values()
    old, new = "RUN wc -l /both > /lines", "RUN wc -c /both > /lines"
    assert reasons == [{"kind": "instruction", "old": old, "new": new}]


def test_a_line_that_came_between(app: App) -> None:
    app.build()
    app.edit("RUN wc", "RUN true\nRUN wc")
    app.build()
    found = app.why()
    assert found["[stage-1 2/4] RUN true"] == [{"kind": "new"}]
    assert found["[stage-1 3/4] RUN wc -l /both > /lines"] == [
        {"kind": "parent", "subject": "[stage-1 2/4] RUN true"}
    ]


def test_mounts_and_secrets(app: App) -> None:
    app.build()
    app.edit("RUN wc", "RUN --mount=type=secret,id=key wc")
    app.build()
    (reasons,) = app.why().values()
    assert kinds(reasons) == ["instruction", "secret"]
    assert reasons[1]["subject"] == "/run/secrets/key"


def test_no_cache_and_what_was_pruned(lone: App) -> None:
    lone.build()
    assert "croze why" not in lone.build("--no-cache").stderr
    assert {kind for r in lone.why().values() for kind in kinds(r)} == {"no-cache"}
    lone.build()
    lone.sandbox.croze("prune", "--force", "--all")
    lone.build()
    found = lone.why()
    assert found[COPY] == [{"kind": "parent", "subject": "[build 1/4] WORKDIR /src"}]
    assert found["[build 1/4] WORKDIR /src"] == [{"kind": "pruned"}]


def test_nothing_missed(app: App) -> None:
    app.build()
    app.build()
    assert app.why() == {}
    assert "All 6 steps were in the cache." in app.sandbox.croze("why").stdout
    assert "in the cache" in app.sandbox.croze("why", "COPY src").stdout


def test_records_survive_a_restart_and_a_kill(lone: App) -> None:
    lone.build()
    lone.sandbox.stop(signal.SIGKILL)
    assert lone.sandbox.wait_no_leftovers() == []
    lone.sandbox.start()
    (lone.path / "src/b").write_text("changed\n")
    lone.build()
    assert lone.why()[COPY][0]["files"] == [{"path": "src/b", "kind": "changed"}]
    lone.sandbox.stop()
    lone.sandbox.start()
    assert list(lone.why()) == [COPY, RUN, TAKE, LAST]


def test_a_damaged_database_is_set_aside(lone: App) -> None:
    lone.build()
    lone.sandbox.stop()
    for path in lone.sandbox.root.glob("why.db*"):
        path.write_bytes(b"no database, really" * 100)
    lone.sandbox.start()
    lone.build()
    assert lone.why() == {}


def test_failed_builds_are_explained_too(app: App) -> None:
    app.build()
    app.edit("RUN wc -l /both > /lines", "RUN false")
    app.build(check=False)
    (reasons,) = app.why().values()
    assert reasons[0]["kind"] == "instruction"


def test_misses_are_warnings_if_that_is_wanted(lone: App) -> None:
    lone.build(client="sid")
    (lone.path / "src/a").write_text("changed for buildx\n")
    assert "warning" not in lone.build(client="sid").stderr
    lone.sandbox.stop()
    config = lone.sandbox.path / "crozed.toml"
    config.write_text("[why]\nwarnings = true\n")
    lone.sandbox.start("--config", str(config))
    (lone.path / "src/a").write_text("changed once more\n")
    done = lone.build(client="sid")
    assert "1 warning found (use docker --debug to expand)" in done.stderr
    assert f" - cache miss: {COPY}: 1 file changed: src/a\n" in done.stderr
    (lone.path / "src/a").write_text("for croze\n")
    assert "1 warning found (use croze --debug to expand)" in lone.build().stderr
    (lone.path / "src/a").write_text("and again\n")
    assert "cache miss" not in lone.build("--build-arg=CROZE_WHY=0").stderr
    lone.edit("wc -l", "wc -c")
    assert "cache miss" not in lone.build().stderr, "who edits a line knows"


@pytest.mark.parametrize("cached", [True, False])
def test_the_nearest_state_that_would_have_hit(app: App, cached: bool) -> None:
    app.build()
    (app.path / "src/b").write_text("edited\n")
    app.build()
    (app.path / "src/b").write_text("2\n")
    if cached:
        app.build()
        assert app.why() == {}
    (app.path / "src/a").write_text(f"the one edit {cached}\n")
    app.build()
    assert app.why()[COPY][0]["files"] == [{"path": "src/a", "kind": "changed"}]


@pytest.mark.parametrize("needs", ["", "secret"])
def test_what_failed_never_had_a_result(app: App, needs: str) -> None:
    line = f"RUN --mount=type=secret,id=key,required={'true' if needs else 'false'} test -n x"
    line += "" if needs else " -a -e /none"
    app.edit("RUN wc -l /both > /lines", line)
    name = f"[stage-1 2/3] {line}"
    for _ in range(2):
        app.build(check=False)
    assert kinds(app.why()[name]) == ["failed"]
    assert "it failed the last time" in app.sandbox.croze("why").stdout
    assert app.plan()[name]["reasons"] == [{"kind": "failed"}]
    if needs:
        key = app.path.parent / "key"
        key.write_text("k")
        app.build(f"--secret=id=key,src={key}")
        assert kinds(app.why()[name]) == ["failed"]


def test_an_owner_that_nobody_is(app: App) -> None:
    app.edit("COPY --from=build /both /both", "COPY --from=build --chown=nobody-here /both /both")
    for _ in range(2):
        app.build(check=False)
    assert {kind for reasons in app.why().values() for kind in kinds(reasons)} <= {"new", "failed"}


def test_what_was_stopped_never_had_a_result(app: App) -> None:
    app.edit("RUN wc -l /both > /lines", "RUN echo up && sleep 1000")
    words: list[str | Path] = [CROZE, "build", *base(app.busybox), "--progress=plain", app.path]
    with subprocess.Popen(words, env=app.sandbox.env, stderr=subprocess.PIPE) as client:
        until(client, b" up\n")
        client.send_signal(signal.SIGINT)
        client.communicate(timeout=PATIENCE_S)
    name = "[stage-1 2/3] RUN echo up && sleep 1000"
    assert kinds(app.why()[name]) == ["parent"]
    assert app.plan()[name]["reasons"] == [{"kind": "stopped"}]


def test_a_plan_comes_true(lone: App) -> None:
    first = lone.plan()
    assert first["[build 1/4] WORKDIR /src"]["reasons"] == [{"kind": "new"}]
    assert {first[name]["status"] for name in (COPY, RUN, TAKE, LAST)} == {"run"}
    lone.build()
    assert {step["status"] for step in lone.plan().values()} == {"cached"}
    (lone.path / "src/a").write_text("changed\n")
    plan = lone.plan()
    assert plan[COPY]["status"] == "run"
    assert plan[COPY]["reasons"][0]["files"] == [{"path": "src/a", "kind": "changed"}]
    assert plan[RUN]["reasons"] == [{"kind": "parent", "subject": COPY}]
    assert plan[TAKE]["status"] == "depends"
    assert plan[TAKE]["dependsOn"] == [RUN]
    assert plan[LAST]["status"] == "depends"
    missed = {name for name, step in plan.items() if step["status"] in ("run", "depends")}
    lone.build()
    assert set(lone.why()) == missed


def test_a_plan_runs_nothing_and_takes_flags(app: App) -> None:
    app.build()
    before = app.why()
    plan = app.plan("--build-arg=VERSION=2", "--target=build")
    assert len(plan) == 4
    (changed,) = (step for name, step in plan.items() if "RUN echo 2" in name)
    assert changed["status"] == "run"
    assert not any("wc -l" in name for name in plan)
    assert app.why() == before, "a plan is no build"
    text = app.build("--call=plan", "--no-cache").stdout
    assert "the cache was not to be used" in text
    both = app.build("--call=plan", "--platform=linux/amd64,linux/386").stdout
    assert "[linux/386 build 2/4] COPY src ./" in both
    assert "[linux/amd64 build 2/4] COPY src ./" in both


def test_a_plan_for_stock_buildx(app: App) -> None:
    app.build()
    done = app.build("--call=plan", client="sid")
    own = app.build("--call=plan")
    assert done.stdout.strip() == own.stdout.strip()
    assert "6 steps: 6 cached, 0 to run" in done.stdout


def test_a_plan_of_what_can_not_be_built_fails(app: App) -> None:
    app.edit("COPY src", "COPY missing")
    done = app.build("--call=plan", check=False)
    assert done.code == 1
    assert '"/missing": not found' in done.stderr
