"""`croze bake URL`: definitions in repositories, archives and on web servers."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from croze.fs.remove import remove_tree
from tests.e2e.sandbox import Sandbox, execute
from tests.e2e.web import git, git_daemon, handler, web
from tests.sources.git_servers import ssh_server
from tests.support.ssh_agent import ssh_agent
from tests.support.web_server import answering

REMOTE = """
group "default" { targets = ["there", "sub", "here", "named"] }
target "there" { output = ["type=local,dest=out/there"] }
target "sub" {
  context = "sub"
  output = ["type=local,dest=out/sub"]
}
target "here" {
  context = BAKE_CMD_CONTEXT
  dockerfile-inline = "FROM scratch\\nCOPY word /word\\n"
  output = ["type=local,dest=out/here"]
}
target "named" {
  context = "sub"
  contexts = { top = ".", other = "sub", near = "cwd://." }
  dockerfile = "cwd://Dockerfile.named"
  output = ["type=local,dest=out/named"]
}
"""
NAMED = """
FROM scratch
COPY --from=top word /top
COPY --from=other deep /other
COPY --from=near word /near
COPY deep /word
"""
BUILT = {
    "there": {"word": "far\n"},
    "sub": {"word": "deep\n"},
    "here": {"word": "near\n"},
    "named": {"word": "deep\n", "top": "far\n", "other": "deep\n", "near": "near\n"},
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same tree as a repository, as an archive, and below another folder."""
    folder = tmp_path_factory.mktemp("served")
    work = folder / "work"
    (work / "sub").mkdir(parents=True)
    (work / "Dockerfile").write_text("FROM scratch\nCOPY word /word\n")
    (work / "word").write_text("far\n")
    (work / "docker-bake.hcl").write_text(REMOTE)
    (work / "sub/Dockerfile").write_text("FROM scratch\nCOPY deep /word\n")
    (work / "sub/deep").write_text("deep\n")
    shutil.copytree(work, work / "inner")
    with tarfile.open(folder / "work.tar.gz", "w:gz") as archive:
        archive.add(work, ".")
    git(work, "init", "-q", "-b", "master")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "all")
    git(folder, "clone", "-q", "--bare", "work", "repo.git")
    return folder


@pytest.fixture
def here(desk: Sandbox) -> Iterator[Path]:
    folder = desk.context("here", {"word": "near\n", "Dockerfile.named": NAMED})
    yield folder
    remove_tree(folder)


def built(folder: Path) -> dict[str, dict[str, str]]:
    return {
        target.name: {file.name: file.read_text() for file in target.iterdir()}
        for target in (folder / "out").iterdir()
    }


ADDRESSES = {
    "repo.git": ("repo.git", "repo.git#:sub"),
    "repo.git#master:inner": ("repo.git#master:inner", "repo.git#master:inner/sub"),
    "repo.git?ref=master": ("repo.git?ref=master", "repo.git?ref=master#:sub"),
    "repo.git?subdir=inner": ("repo.git?subdir=inner", "repo.git?subdir=inner%2Fsub"),
    "work.tar.gz": ("work.tar.gz", "work.tar.gz#:sub"),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_definition_among_its_files(
    desk: Sandbox, served: Path, here: Path, address: str
) -> None:
    with web(served, []) as url:
        shown = json.loads(desk.croze("bake", f"{url}/{address}", "--print", cwd=here).stdout)
        desk.croze("bake", f"{url}/{address}", cwd=here)
    contexts = tuple(shown["target"][name]["context"] for name in ("there", "sub"))
    assert contexts == tuple(f"{url}/{each}" for each in ADDRESSES[address])
    assert built(here) == BUILT


def test_a_repository_of_gits_own_protocol(desk: Sandbox, served: Path, here: Path) -> None:
    with git_daemon(served) as url:
        desk.croze("bake", f"{url}/repo.git", "there", cwd=here)
    assert built(here) == {"there": BUILT["there"]}


def test_a_file_on_the_web(desk: Sandbox, tmp_path: Path, here: Path) -> None:
    """However long, up to 2 MiB."""
    text = 'target "default" {\n  dockerfile-inline = "FROM scratch\\nCOPY word /\\n"\n}\n'
    (tmp_path / "some.hcl").write_text("# more\n" * 1000 + text)
    (tmp_path / "large.hcl").write_text(text + "# more\n" * 300_000)
    with web(tmp_path, []) as url:
        desk.croze("bake", f"{url}/some.hcl", cwd=here)
        shown = desk.croze("bake", f"{url}/some.hcl", "--print", cwd=here)
        refused = desk.croze("bake", f"{url}/large.hcl", cwd=here, check=False)
        missing = desk.croze("bake", f"{url}/no.hcl", cwd=here, check=False)
    assert json.loads(shown.stdout)["target"]["default"]["context"] == "."
    limit = "non-archive definition URL bigger than maximum allowed size (2.097MB)"
    assert refused.stderr.endswith(f"ERROR: failed to solve: {limit}\n")
    assert missing.stderr.endswith("invalid response status 404\n")


def test_named_files_there_and_here(desk: Sandbox, served: Path, here: Path) -> None:
    (here / "more.hcl").write_text('target "there" { tags = ["local"] }\n')
    with web(served, []) as url:
        words = ["bake", f"{url}/repo.git", "-f", "inner/docker-bake.hcl", "-f", "cwd://more.hcl"]
        shown = desk.croze(*words, "--print", "there", cwd=here)
        missing = desk.croze("bake", f"{url}/repo.git", "-f", "no.hcl", cwd=here, check=False)
        nothing = desk.croze("bake", f"{url}/repo.git#:sub", cwd=here, check=False)
        bad = desk.croze("bake", f"{url}/repo.git?no=1", cwd=here, check=False)
    assert json.loads(shown.stdout)["target"]["there"]["tags"] == ["local"]
    assert "[internal] load local bake definitions" in shown.stderr
    assert "no.hcl: no such file or directory" in missing.stderr
    assert "ERROR: couldn't find a bake definition" in nothing.stderr
    assert 'ERROR: unexpected query "no"' in bad.stderr


def test_what_remote_definitions_want_of_this_machine(
    desk: Sandbox, tmp_path: Path, here: Path
) -> None:
    """Files outside of the working directory, and the agent, are asked for."""
    secret = tmp_path / "secret"
    secret.write_text("s")
    served = tmp_path / "served"
    served.mkdir()
    inline = 'dockerfile-inline = "FROM scratch\\nCOPY word /\\n"'
    for name, wish in {
        "context": f'context = "cwd://{tmp_path}"',
        "secret": f'secret = ["id=s,src={secret}"]',
        "output": f'output = ["type=local,dest={tmp_path}/out"]',
        "agent": 'ssh = ["default"]',
    }.items():
        (served / f"{name}.hcl").write_text(f'target "default" {{\n{wish}\n{inline}\n}}\n')
    (tmp_path / "docker-bake.hcl").write_text(f'target "default" {{ dockerfile = "{secret}" }}\n')
    with tarfile.open(served / "dockerfile.tar", "w") as archive:
        archive.add(tmp_path / "docker-bake.hcl", "docker-bake.hcl")
    with web(served, []) as url:
        for name, flag in {
            "context": f"--allow=fs.read={tmp_path}",
            "secret": f"--allow=fs.read={secret}",
            "output": f"--allow=fs.write={tmp_path}",
            "agent": "--allow=ssh",
            "dockerfile": f"--allow=fs.read={secret}",
        }.items():
            address = f"{url}/{name}.tar" if name == "dockerfile" else f"{url}/{name}.hcl"
            env = {"SSH_AUTH_SOCK": str(tmp_path / "no")} if name == "agent" else {}
            done = desk.croze("bake", address, cwd=here, env=env, check=False)
            assert done.code == 1
            if name != "agent":
                assert "ERROR: additional privileges requested" in done.stderr
                assert flag in done.stderr
    assert not (tmp_path / "out").exists()


@contextlib.contextmanager
def private_web(folder: Path, wanted: str) -> Iterator[str]:
    """A server that answers those alone who come with this `Authorization`."""
    open_to_all = handler(folder, [])

    class Private(open_to_all):  # type: ignore[valid-type,misc]  # made for the folder
        def do_GET(self) -> None:
            if self.headers.get("Authorization", "").casefold() == wanted.casefold():
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_POST = do_GET

    with answering(Private) as url:
        yield url


BASIC = "basic " + base64.b64encode(b"x-access-token:token").decode()


@pytest.mark.parametrize(
    ("wanted", "env"),
    [
        (BASIC, {"buildx_bake_git_auth_token": "token"}),
        ("bearer token", {"BUILDX_BAKE_GIT_AUTH_HEADER": "bearer token"}),
    ],
)
def test_a_private_repository(
    desk: Sandbox, served: Path, here: Path, wanted: str, env: dict[str, str]
) -> None:
    with private_web(served, wanted) as url:
        words = ["bake", f"{url}/repo.git", "there", "sub"]
        refused = desk.croze(*words, cwd=here, check=False)
        desk.croze(*words, cwd=here, env=env)
    assert refused.code == 1
    assert built(here) == {name: BUILT[name] for name in ("there", "sub")}


def test_a_repository_behind_ssh(desk: Sandbox, served: Path, here: Path, tmp_path: Path) -> None:
    """A key of its own serves to read the definition alone; the agent's serves the targets too."""
    key, agent = tmp_path / "key", tmp_path / "agent"
    execute(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], desk.env)
    env = {"SSH_AUTH_SOCK": str(agent)}
    with ssh_server(tmp_path, key.with_suffix(".pub")) as (port, _), ssh_agent(agent):
        words = [
            "bake",
            "--allow=ssh",
            f"ssh://root@127.0.0.1:{port}{served}/repo.git",
            "there",
            "sub",
        ]
        refused = desk.croze(*words, cwd=here, env=env, check=False)
        desk.croze(*words, "--print", cwd=here, env={**env, "BUILDX_BAKE_GIT_SSH": str(key)})
        execute(["ssh-add", "-q", key], {**os.environ, **env})
        desk.croze(*words, cwd=here, env=env)
    assert refused.code == 1
    assert built(here) == {name: BUILT[name] for name in ("there", "sub")}
