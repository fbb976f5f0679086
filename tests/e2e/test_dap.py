"""An editor steps through builds. What is expected is what buildx's own tests expect of it
(`tests/dap_build.go`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.sandbox import CROZE, Sandbox
from tests.e2e.terminal import Terminal
from tests.support.dap import Client
from tests.support.waiting import eventually

DOCKERFILE = """
FROM dap-base AS base
COPY foo /etc/foo
RUN cp /etc/foo /etc/bar

FROM scratch
COPY --from=base /etc/bar /bar
"""

FROM = (2, r"\[base .*\] FROM .*dap-base")
COPY = (3, r"\[base .*\] COPY foo")
RUN = (4, r"\[base .*\] RUN cp /etc/foo")
LAST = (7, r"\[stage-1 .*\] COPY .* /bar")


@pytest.fixture(scope="module", autouse=True)
def base(desk: Sandbox, busybox: Path) -> None:
    """The image that the builds start from, in the daemon's store."""
    context = desk.context("dap-base", {"Dockerfile": "FROM n\n"})
    desk.croze("build", "-t", "dap-base", f"--build-context=n=oci-layout://{busybox}", context)


@pytest.fixture
def project(desk: Sandbox) -> Path:
    return desk.context("dap", {"Dockerfile": DOCKERFILE, "foo": "foo"})


@contextmanager
def editor(desk: Sandbox, cwd: Path, *words: str) -> Iterator[Client]:
    with Client([str(CROZE), "dap", "build", *words], desk.env, str(cwd)) as client:
        yield client


def config(project: Path, *, stop: bool = False) -> dict[str, Any]:
    found = {"dockerfile": str(project / "Dockerfile"), "contextPath": str(project)}
    return {**found, "stopOnEntry": stop}


def check(frames: list[tuple[int, str]], *want: tuple[int, str]) -> None:
    assert [line for line, _ in frames] == [line for line, _ in want]
    for (_, name), (_, pattern) in zip(frames, want, strict=True):
        assert re.match(pattern, name), name


def test_an_editor_hears_of_a_build_from_start_to_end(desk: Sandbox, project: Path) -> None:
    with editor(desk, project) as client:
        client.launch(config(project))
        assert client.stopped()["reason"] == ""
        assert client.ended() == 0
        assert client.named("exited") == [{"exitCode": 0}]
        assert [t["reason"] for t in client.named("thread")] == ["started", "exited"]
        text = "".join(o["output"] for o in client.named("output"))
        assert "[base 3/3] RUN cp /etc/foo /etc/bar" in text


def test_who_interrupts_what_has_ended_changes_nothing(desk: Sandbox, project: Path) -> None:
    with editor(desk, project) as client:
        client.launch(config(project))
        assert client.stopped()["reason"] == "", "it has ended"
        client.interrupt()
        assert client.ended() == 0


@pytest.mark.parametrize(
    ("action", "lines", "stops"),
    [
        (
            "stepIn",
            [],
            [
                [LAST],
                [FROM, LAST],
                [COPY, LAST],
                [RUN, LAST],
                [RUN, LAST],
                [LAST],
                [LAST],
            ],
        ),
        ("next", [3], [[LAST], [COPY, LAST], [RUN, LAST], [RUN, LAST], [LAST], [LAST]]),
        ("stepOut", [3], [[LAST], [COPY, LAST], [LAST]]),
        ("continue", [2, 4], [[LAST], [FROM, LAST], [RUN, LAST]]),
    ],
)
def test_steps_stop_where_buildxs_do(
    desk: Sandbox,
    project: Path,
    action: str,
    lines: list[int],
    stops: list[list[tuple[int, str]]],
) -> None:
    with editor(desk, project) as client:
        client.launch(config(project, stop=True), lines)
        for want in stops:
            stop = client.stopped()
            check(client.at(stop), *want)
            client.ask(action, {"threadId": stop["threadId"]})
        assert client.stopped()["reason"] == ""
        assert client.ended() == 0


def test_breakpoints_are_verified(desk: Sandbox, project: Path) -> None:
    with editor(desk, project) as client:
        points = client.launch(config(project), [2, 7, 10])
        assert [p["reason"] for p in points] == ["pending"] * 3
        stop = client.stopped()
        assert (stop["reason"], stop["hitBreakpointIds"]) == ("breakpoint", [2])
        check(client.at(stop), LAST)
        source = {"name": "Dockerfile", "path": str(project / "Dockerfile")}
        told = sorted(
            (each["breakpoint"] for each in client.named("breakpoint")), key=lambda p: p["id"]
        )
        assert told == [
            {"id": 1, "line": 2, "endLine": 2, "source": source, "verified": True},
            {"id": 2, "line": 7, "endLine": 7, "source": source, "verified": True},
            {
                "id": 3,
                "line": 10,
                "endLine": 10,
                "source": source,
                "verified": False,
                "reason": "failed",
            },
        ]
        assert client.named("loadedSource") == [{"reason": "new", "source": source}]
        assert client.ask("source", {"source": source})["content"] == DOCKERFILE
        client.interrupt()
        assert client.ended() != 0


def test_what_follows_a_stop_is_not_done_yet(desk: Sandbox, project: Path) -> None:
    (project / "foo").write_text("deferred")

    def seen(client: Client) -> bool:
        return any("RUN cp /etc/foo" in o["output"] for o in client.named("output"))

    with editor(desk, project) as client:
        client.launch(config(project), [7])
        stop = client.stopped()
        assert not seen(client)
        client.ask("next", {"threadId": stop["threadId"]})
        client.stopped()
        eventually(lambda: seen(client))  # what a step has said may come after the stop


def test_a_stop_shows_arguments_and_files(desk: Sandbox, project: Path) -> None:
    with editor(desk, project) as client:
        client.launch(config(project), [4])
        frame = client.frames(client.stopped())[0]
        scopes = client.ask("scopes", {"frameId": frame["id"]})["scopes"]
        told = [(s["name"], s["presentationHint"], s["expensive"]) for s in scopes]
        assert told == [("Arguments", "arguments", False), ("File Explorer", "locals", True)]
        arguments = client.variables(scopes[0]["variablesReference"])
        assert arguments["exec"]["value"] == "/bin/sh -c cp /etc/foo /etc/bar"
        platform = client.variables(arguments["platform"]["variablesReference"])
        assert {"architecture", "os"} <= set(platform)
        run = client.variables(arguments["exec"]["variablesReference"])
        assert list(run) == ["args", "env", "workdir"]
        args = client.variables(run["args"]["variablesReference"])
        assert [a["value"] for a in args.values()] == ["/bin/sh", "-c", "cp /etc/foo /etc/bar"]
        assert "PATH" in client.variables(run["env"]["variablesReference"])
        assert run["workdir"]["value"] == "/"
        root = client.variables(scopes[1]["variablesReference"])["/"]
        etc = client.variables(root["variablesReference"])["etc/"]
        files = client.variables(etc["variablesReference"])
        assert files["."]["value"].startswith("drwxr-xr-x 0:0 ")
        assert "bar" not in files
        foo = client.variables(files["foo"]["variablesReference"])
        assert foo["data"]["value"] == "foo"
        assert (foo["mode"]["value"], foo["uid"]["value"]) == ("-rw-r--r--", "0")


def test_a_step_that_fails(desk: Sandbox, project: Path) -> None:
    """A shell in it, on a terminal that the editor opens."""
    dockerfile = project / "Dockerfile"
    dockerfile.write_text("FROM dap-base\nRUN echo made > /made; exit 3\n")
    with editor(desk, project) as client:
        client.launch(config(project))
        stop = client.stopped()
        assert stop["reason"] == "exception"
        check(client.at(stop), (2, r"\[2/2\] RUN echo made"))
        frame = client.frames(stop)[0]
        files = client.ask("scopes", {"frameId": frame["id"]})["scopes"][1]
        root = client.variables(files["variablesReference"])["/"]
        assert "made" in client.variables(root["variablesReference"])
        for context, words, refused in [
            ("watch", "exec", "unsupported evaluate context: watch"),
            ("repl", "nix", 'unknown command "nix" for ""'),
            ("repl", "'", "cannot parse expression: EOF found when expecting closing quote"),
        ]:
            answer = client.answer("evaluate", {"expression": words, "context": context})
            assert (answer["success"], answer["message"]) == (False, refused)
        asked: list[dict[str, Any]] = []

        def open_terminal(request: dict[str, Any]) -> None:
            asked.append(request["arguments"])
            client.reply(request)

        client.on_request = open_terminal
        told = client.ask("evaluate", {"expression": "exec", "context": "repl"})["result"]
        words = asked[0]["args"]
        assert told == f"Started process attached to {words[-1]}."
        with Terminal([str(CROZE), *words[1:]], {**desk.env, "TERM": "xterm"}) as terminal:
            terminal.expect("Attached to build process.")
            terminal.expect("Running /bin/sh in build container from line 2.")
            terminal.expect("/ # ")
            terminal.expect("\x1b[6n")
            terminal.send("cat /ma*; exit\r")
            terminal.expect("made")
        client.ask("next", {"threadId": stop["threadId"]})
        assert client.stopped()["reason"] == ""
        assert client.ended() == 1
        assert client.named("exited") == [{"exitCode": 1}]


def test_a_file_that_is_missing(desk: Sandbox, project: Path) -> None:
    (project / "foo").unlink()
    with editor(desk, project) as client:
        client.launch(config(project))
        stop = client.stopped()
        assert stop["reason"] == "exception"
        client.ask("next", {"threadId": stop["threadId"]})
        assert client.stopped()["reason"] == ""
        assert client.ended() == 1


@pytest.mark.parametrize("below", ["", "nested"])
@pytest.mark.parametrize("absolute", [True, False])
def test_where_the_source_is(desk: Sandbox, below: str, absolute: bool) -> None:
    name = f"{below}/Dockerfile" if below else "Dockerfile"
    project = desk.context("dap-source", {name: DOCKERFILE, "foo": "foo"})
    start = str(project) if absolute else "."
    with editor(desk, project, "nowhere") as client:
        launch = {"dockerfile": f"{start}/{name}", "contextPath": start, "stopOnEntry": True}
        client.launch(launch)
        client.stopped()
        assert client.named("loadedSource")[0]["source"]["path"] == str(project / name)


def test_an_editor_that_leaves(desk: Sandbox, project: Path) -> None:
    with editor(desk, project) as client:
        client.launch(config(project, stop=True))
        stop = client.stopped()
        refusals: list[tuple[str, dict[str, Any], str]] = [
            ("nope", {}, "not implemented"),
            ("source", {"source": {"path": "/x"}}, "file not found: /x"),
            ("stackTrace", {"threadId": 9}, "no such thread: 9"),
            ("scopes", {"frameId": 999}, "no such frame id: 999"),
            ("initialize", {}, "already initialized"),
        ]
        for command, arguments, refused in refusals:
            answer = client.answer(command, arguments)
            assert (answer["success"], answer["message"]) == (False, refused)
        assert client.at(stop)
        client.ask("disconnect", {})
        assert client.ended() != 0


def test_what_is_no_message(desk: Sandbox) -> None:
    for text in ("hello\r\n\r\n", "Content-Length: 2\r\n\r\n[]", "Content-Length: 1\r\n\r\n{", ""):
        done = desk.croze("dap", "build", ".", stdin=text.encode(), check=False)
        assert done.code != 0
        assert "debug adapter did not start: context canceled" in done.output


def test_words_that_are_no_command_are_refused(desk: Sandbox) -> None:
    assert "requires build, or attach and a path" in desk.croze("dap", "nosuch", check=False).output
    assert "no such file" in desk.croze("dap", "attach", "/nowhere/s", check=False).output
