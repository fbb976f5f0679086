"""Targets of a definition that is in a git repository, or in an archive on a web server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from croze.bake.entitlements import missing, parse_allow
from croze.bake.errors import BakeError
from croze.bake.requests import BuildRequest, make_requests, with_subdirectory
from tests.bake.world import select

GIT, ARCHIVE = "https://x.example/r.git", "https://x.example/r.tar"


def request(body: str, remote: str) -> BuildRequest:
    selection = select({"docker-bake.hcl": f'target "default" {{\n{body}\n}}'})
    return make_requests(selection, remote)["default"]


@pytest.mark.parametrize(
    ("url", "directory", "joined"),
    [
        (GIT, "sub", f"{GIT}#:sub"),
        (f"{GIT}#v1", "sub", f"{GIT}#v1:sub"),
        (f"{GIT}#v1:a", "sub", f"{GIT}#v1:a/sub"),
        (f"{GIT}#v1:a", "../b", f"{GIT}#v1:b"),
        (f"{GIT}#v1", ".", f"{GIT}#v1"),
        (f"{GIT}?ref=v1&subdir=a", "sub", f"{GIT}?ref=v1&subdir=a%2Fsub"),
        (f"{GIT}?ref=v1", "sub", f"{GIT}?ref=v1#:sub"),
        (f"{GIT}?subdir=a#v1", "sub", f"{GIT}?subdir=a#v1:a/sub"),
        (f"{GIT}?subdir=a#v1:b", "sub", f"{GIT}?subdir=a#v1:b/sub"),
    ],
)
def test_a_directory_of_a_repository(url: str, directory: str, joined: str) -> None:
    assert with_subdirectory(url, directory) == joined


@pytest.mark.parametrize(
    ("context", "remote", "found", "directory"),
    [
        (".", GIT, GIT, ""),
        (".", ARCHIVE, ARCHIVE, "."),
        ("sub/", GIT, f"{GIT}#:sub", "sub"),
        ("sub", ARCHIVE, f"{ARCHIVE}#:sub", "sub"),
        ("cwd://sub/", GIT, "sub", ""),
        ("https://y.example/r.git", GIT, "https://y.example/r.git", ""),
    ],
)
def test_a_context(context: str, remote: str, found: str, directory: str) -> None:
    made = request(f'context = "{context}"', remote)
    assert (made.context, made.context_of) == (found, directory)


def test_named_contexts() -> None:
    contexts = (
        'a = "sub", b = "docker-image://b", c = "cwd://c/", d = ".", e = "https://y.example/e.tar"'
    )
    made = request(f"contexts = {{ {contexts} }}", GIT)
    shown: Mapping[str, str] = {
        "a": f"{GIT}#:sub",
        "b": "docker-image://b",
        "c": "c",
        "d": GIT,
        "e": "https://y.example/e.tar",
    }
    assert (made.contexts, made.contexts_of) == (shown, {"a": "sub"})


def test_a_dockerfile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert request("", GIT).dockerfile == "Dockerfile"
    assert request('dockerfile = "cwd://a/../b"', GIT).dockerfile == str(tmp_path / "b")
    body = 'context = "cwd://"\ndockerfile = "b"'
    assert request(body, GIT).dockerfile == "./b"
    (tmp_path / "b").touch()
    with pytest.raises(BakeError, match="reading a dockerfile for a remote build invocation"):
        request(body, GIT)


@pytest.mark.parametrize("remote", [GIT, ARCHIVE, "git@x.example:r.git"])
@pytest.mark.parametrize(
    ("body", "reads"),
    [
        ('context = "sub"\ndockerfile = "../d"\ncontexts = { a = "sub", b = "../c" }', set[str]()),
        ('context = "sub"\ndockerfile = "cwd:///d"', {"/d"}),
        ('context = "cwd:///c"\ncontexts = { a = "cwd:///a" }', {"/c", "/a"}),
    ],
)
def test_only_what_is_here_must_be_granted(remote: str, body: str, reads: set[str]) -> None:
    found = missing(parse_allow([]), {"default": request(body, remote)}, lambda path: path)
    assert set(found.read) == reads
