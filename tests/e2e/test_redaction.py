"""A token or a password in a URL is used, and is seen nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sandbox import Sandbox, execute
from tests.e2e.web import repository, web

TOKEN = "t0ken-in-a-user-name"
PASSWORD = "pa55-in-a-url"


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("site")
    repository(folder)
    (folder / "file").write_text("x")
    with web(folder, []) as url:
        yield url


def with_login(url: str, login: str) -> str:
    return url.replace("://", f"://{login}@")


def seen_below(folder: Path, *words: str) -> list[str]:
    """The files in which one of the words is."""
    found = []
    for word in words:
        done = execute(
            ["grep", "-rlaF", "--", word, folder], {"PATH": "/usr/bin:/bin"}, check=False
        )
        found += [f"{word}: {name}" for name in done.stdout.splitlines()]
    return found


def test_a_kept_git_directory(sandbox: Sandbox, site: str) -> None:
    token = with_login(f"{site}/repo.git", TOKEN)
    password = with_login(f"{site}/repo.git", f"me:{PASSWORD}")
    dockerfile = f"FROM scratch\nADD --keep-git-dir=true {token} /t\n"
    dockerfile += f"ADD --keep-git-dir=true {password}#side /p\n"
    context, out = sandbox.context("c", {"Dockerfile": dockerfile}), sandbox.path / "out"
    done = sandbox.croze("build", "--progress=plain", "-o", out, context)
    host = site.removeprefix("http://")
    assert f"url = http://xxxxx@{host}/repo.git\n" in (out / "t/.git/config").read_text()
    assert f"url = http://xxxxx:xxxxx@{host}/repo.git\n" in (out / "p/.git/config").read_text()
    assert seen_below(out, TOKEN, PASSWORD) == []
    for word in (TOKEN, PASSWORD):
        assert word not in done.output
        assert word not in sandbox.log_text()


def test_a_context_of_the_web(sandbox: Sandbox, site: str) -> None:
    out = sandbox.path / "out"
    args = ["--build-arg", f"HTTP_PROXY=http://me:{PASSWORD}@127.0.0.1:1"]
    done = sandbox.croze(
        "build", "--progress=plain", *args, "-o", out, with_login(f"{site}/repo.git", TOKEN)
    )
    for word in (TOKEN, PASSWORD):
        assert word not in done.output
        assert word not in sandbox.log_text()


@pytest.mark.parametrize(
    "dockerfile",
    [
        "FROM scratch\nADD {url}/file /\nADD {url}/none /\n",
        "FROM scratch\nADD {url}/none.git /\n",
        "FROM scratch\nADD {url}/repo.git#none /\n",
    ],
)
@pytest.mark.parametrize("login", [TOKEN, f"me:{PASSWORD}"])
def test_failures_tell_no_login(sandbox: Sandbox, site: str, dockerfile: str, login: str) -> None:
    """The excerpt of the user's own file is as it is, and all that is said is not."""
    text = dockerfile.format(url=with_login(site, login))
    context = sandbox.context("c", {"Dockerfile": text})
    done = sandbox.croze("build", "--progress=plain", context, check=False)
    assert done.code == 1
    said = [line for line in done.output.splitlines() if " | " not in line]
    assert "ADD" in "\n".join(said)
    for line in (*said, *sandbox.log_text().splitlines()):
        assert TOKEN not in line
        assert PASSWORD not in line


def test_nothing_is_kept(sandbox: Sandbox, site: str) -> None:
    """Neither records, nor metadata, nor repositories keep what was only lent."""
    args = ["--build-arg", f"HTTP_PROXY=http://me:{PASSWORD}@127.0.0.1:1"]
    sandbox.croze("build", *args, f"{with_login(site, TOKEN)}/repo.git")
    assert sandbox.stop() == 0
    # A blob of provenance holds the definition, as BuildKit's does.
    names = seen_below(sandbox.root, TOKEN, PASSWORD)
    assert [name for name in names if "/blobs/" not in name] == []
