"""`history`: the same arguments to buildx and to croze, on the same records."""

from __future__ import annotations

import re

import pytest

from tests.e2e.sandbox import BUILDX, Done, Sandbox, execute

pytestmark = [pytest.mark.e2e, pytest.mark.root]
SUITE = "sid"


def buildx(sandbox: Sandbox, *words: str) -> Done:
    return execute([BUILDX[SUITE], "--builder", "croze", *words], sandbox.env, check=False)


def croze(sandbox: Sandbox, *words: str) -> Done:
    return sandbox.croze("--builder", "croze", *words, check=False)


def said(done: Done) -> tuple[int, list[str]]:
    """Exit code and lines, without the program's name and how long ago something was."""
    text = re.sub(
        r"(docker-)?buildx: |'(docker-)?(buildx|croze) |docker buildx |croze (?=hist)",
        "",
        done.output,
    )
    text = re.sub(r"(Less than a|About an?|\d+) \w+ ago +", "ago ", text)
    text = re.sub(r" {2,}", "  ", text)
    lines = [line.rstrip() for line in text.strip().split("\n")]
    if done.code != 0:  # how a usage is set apart is each tool's own
        lines = [line for line in lines if line]
    quiet = ("See ", "Usage", "Run ", "View build", "Enable --debug")
    return done.code, [line for line in lines if not line.startswith(quiet)]


@pytest.fixture
def built(sandbox: Sandbox) -> Sandbox:
    """One build by buildx that went well, by name, and one by croze that failed."""
    files = {"Dockerfile": "FROM scratch AS one\nARG A=1\nCOPY a /a\n", "a": "1"}
    context = sandbox.context("good", files)
    words = (
        "--build-arg",
        "A=2",
        "--label",
        "l=m",
        "--target",
        "one",
        "-o",
        "type=oci,dest=/dev/null",
    )
    sandbox.buildx(SUITE, "build", *words, "--provenance=true", context)
    bad = sandbox.context("bad", {"Dockerfile": "FROM scratch\n\nCOPY nope /a\n"})
    sandbox.croze("--builder", "croze", "build", bad, check=False)
    return sandbox


@pytest.mark.parametrize(
    "words",
    [
        "ls",
        "ls --no-trunc",
        "ls --format json",
        "ls --format {{.Ref}}|{{.Name}}|{{.Status}}|{{.Duration}}",
        "ls --format {{json .}}",
        "ls --filter status=error",
        "ls --filter status=completed",
        "ls --filter duration>1h",
        "ls --filter startedAt>1h",
        "ls --filter nope=1",
        "ls --filter status>1",
        "ls --filter duration=1",
        "ls --filter duration>x",
        "ls extra",
        "inspect ^1",
        "inspect ^1 --format json",
        "inspect ^1 --format {{.Name}}:{{.Target}}:{{.Status}}:{{.Config.Network}}",
        "inspect ^1 --format {{.BuildArgs}}{{.Labels}}{{.Config}}{{.Error}}{{.StartedAt}}",
        "inspect ^1 --format {{.Duration}}{{.Attachments}}{{.CompletedAt}}",
        "inspect ^1 --format {{",
        "inspect",
        "inspect nope",
        "inspect ^x",
        "inspect ^7",
        "inspect attachment ^1",
        "inspect attachment ^1 --type provenance",
        "inspect attachment ^1 --type sbom",
        "inspect attachment ^1 nope",
        "inspect attachment ^1 sha256:12",
        "logs ^1",
        "logs ^1 --progress rawjson",
        "logs nope",
        "rm",
        "rm nope",
        "rm --all x",
    ],
)
def test_the_same_words(built: Sandbox, words: str) -> None:
    split = re.findall(r"(?:\{\{.*?\}\}|\S)+", words)
    assert said(croze(built, "history", *split)) == said(buildx(built, "history", *split))


def test_a_removed_record_is_gone(built: Sandbox) -> None:
    ref = croze(built, "history", "ls", "--format", "{{.Ref}}").stdout.split()[0]
    assert croze(built, "history", "rm", ref).code == 0
    assert ref not in buildx(built, "history", "ls").stdout
    assert croze(built, "history", "rm", "--all").code == 0
    assert buildx(built, "history", "ls", "--format", "{{.Ref}}").stdout.strip() == ""


def test_without_records_all_say_so(sandbox: Sandbox) -> None:
    sandbox.buildx(SUITE, "ls")
    for command in ("export", "open"):
        assert said(croze(sandbox, "history", command)) == said(buildx(sandbox, "history", command))


def test_a_build_is_remembered_by_where_it_was_made(sandbox: Sandbox) -> None:
    sandbox.buildx(SUITE, "ls")
    files = {
        "Dockerfile": "FROM scratch\nCOPY a /\n",
        "sub/x.Dockerfile": "FROM scratch\nCOPY a /\n",
    }
    context = sandbox.context("where", {**files, "a": "1"})
    croze(sandbox, "build", str(context))
    croze(sandbox, "build", "-f", str(context / "sub/x.Dockerfile"), str(context))
    names = ("history", "ls", "--format", "{{.Name}}")
    assert croze(sandbox, *names).stdout.split() == ["where/sub/x.Dockerfile", "where"]
    assert buildx(sandbox, *names).stdout.split() == ["where/sub/x.Dockerfile", "where"]


def test_records_do_not_control_the_terminal(sandbox: Sandbox) -> None:
    """They may be anybody's."""
    context = sandbox.context("evil\x1b]0;x\x07", {"Dockerfile": "FROM scratch\nCOPY nope /a\n"})
    sandbox.croze("build", "--label=a=\x1b[2J", context, check=False)
    for words in (["ls"], ["inspect"]):
        told = sandbox.croze("history", *words).stdout
        assert "evil?" in told
        assert "\x1b" not in told
