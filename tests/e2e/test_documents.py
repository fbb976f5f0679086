"""Every command in the README and in docs/ works as it is written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e import documents
from tests.e2e.sandbox import BUILDX, CROZE, REPO

DOCUMENTS = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]

SERVICES = """
cat >/run/registry.yml <<'END'
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: /run/registry}}
http: {addr: '127.0.0.1:5000'}
END
docker-registry serve /run/registry.yml >/dev/null 2>&1 &
mkdir -p /etc/buildkit
cat >/etc/buildkit/buildkitd.toml <<'END'
[registry."docker.io"]
mirrors = ["localhost:5000"]
END
until curl -sf localhost:5000/v2/; do read -rt 0.05 <> <(:) || true; done >/dev/null

# Stand-ins for what the documents take from Docker Hub: nothing is downloaded here.
for name in library/alpine:3.20 library/gcc:latest; do
  croze build -q --build-context "busybox=oci-layout://$BUSYBOX" \\
    -o "type=image,name=localhost:5000/$name,push=true" "$BASE"
done >/dev/null
"""
BASE = """\
FROM busybox
COPY --chmod=755 tool /bin/apk
COPY --chmod=755 tool /bin/gcc
COPY --chmod=755 tool /bin/make
"""
TOOL = """\
#!/bin/sh
# Whatever it is asked for, it makes a program.
mkdir -p /out
printf '#!/bin/sh\\necho hello\\n' >/out/hello
"""
C_PROJECT = """\
FROM docker.io/library/gcc AS build
WORKDIR /src
COPY src ./
RUN make

FROM scratch
COPY --from=build /out /out
"""


def prepare_app(folder: Path) -> str:
    """A directory with a Dockerfile in it, for `croze build .`."""
    (folder / "Dockerfile").write_text("FROM docker.io/library/alpine:3.20\nCOPY Dockerfile /\n")
    return ""


def prepare_stock_client(folder: Path) -> str:
    """The stock client uses the user's own daemon, too."""
    prepare_app(folder)
    address = "unix:///run/croze/crozed.sock"
    return f"docker buildx create --driver remote --name own --use {address} >/dev/null"


def prepare_readme(folder: Path) -> str:
    """The repository, after `make demo`, and a Bake file."""
    prepare_app(folder)
    (folder / "docker-bake.hcl").write_text('target "default" { tags = ["app"] }\n')
    shutil.copytree(REPO / "examples", folder / "examples")
    make = folder / "examples/hello/make-toolchain.sh"
    subprocess.run([make, folder / ".cache/toolchain"], check=True, capture_output=True)
    return ""


def prepare_llb(folder: Path) -> str:
    """The page's first program, and what it compiles."""
    [program, *_] = re.findall(
        r"```python\n(.*?)```", (REPO / "docs/llb.md").read_text(encoding="utf-8"), re.DOTALL
    )
    (folder / "hello.py").write_text(program)
    (folder / "hello.c").write_text("int main(void) { return 0; }\n")
    return ""


def prepare_why(folder: Path) -> str:
    """A C project of 310 files, built once, of which one was then changed and one is new."""
    (folder / "Dockerfile").write_text(C_PROJECT)
    source = folder / "src"
    source.mkdir()
    for name in ("a.c", *(f"part{i}.c" for i in range(308))):
        (source / name).write_text(name)
    return "croze build -q . >/dev/null; echo changed >>src/a.c; echo new >src/new.c"


def prepare_cache_mounts(folder: Path) -> str:
    """A step with a cache mount."""
    run = "RUN --mount=type=cache,id=npm,target=/root/.npm touch /root/.npm/package\n"
    (folder / "Dockerfile").write_text(f"FROM docker.io/library/alpine:3.20\n{run}")
    return ""


def prepare_client(folder: Path) -> str:
    """An image in a registry."""
    prepare_app(folder)
    return "croze build -q --push -t localhost:5000/app . >/dev/null"


PREPARE = {
    "cache-mounts.md": prepare_cache_mounts,
    "client.md": prepare_client,
    "attestations.md": prepare_stock_client,
    "README.md": prepare_readme,
    "llb.md": prepare_llb,
    "why.md": prepare_why,
}


def targets() -> set[str]:
    """What can be made: CI makes them, in a fresh clone and on bare systems."""
    return set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(encoding="utf-8"), re.M))


def test_the_makefile_has_what_documents_make() -> None:
    for document in DOCUMENTS:
        for command in documents.commands(document):
            if command.text.startswith("make "):
                words = command.text.partition("#")[0].split()[1:]
                assert words, f"{document}:{command.line}"
                assert set(words) <= targets(), f"{document}:{command.line}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_work_as_written(document: Path, tmp_path: Path, busybox: Path) -> None:
    wanted = [c for c in documents.commands(document) if not c.text.startswith("make ")]
    if not wanted:
        return
    elsewhere = [c.text for c in wanted if "/tmp/" in c.text]
    assert not elsewhere, "what is written stays here, and is another user's to write, too"
    home, folder, base = (tmp_path / name for name in ("home", "work", "base"))
    for each in (home, folder, base):
        each.mkdir()
    (base / "Dockerfile").write_text(BASE)
    (base / "tool").write_text(TOOL)
    plugins = home / ".docker/cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(BUILDX["sid"])
    env = {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": f"{CROZE.parent}:{os.environ['PATH']}:/usr/sbin:/sbin",
        "BASE": str(base),
        "BUSYBOX": str(busybox),
    }
    prepare = PREPARE.get(document.name, prepare_app)(folder)
    ran, stderr = documents.run(wanted, env, folder, prepare=f"{SERVICES}\n{prepare}")
    assert len(ran) == len(wanted), stderr
    wrong = [documents.difference(*pair) for pair in zip(wanted, ran, strict=True)]
    assert not any(wrong), "\n".join([*filter(None, wrong), stderr])


def test_a_broken_toolchain_is_made_anew(tmp_path: Path) -> None:
    """What an older `make demo` left has no loader where a release has moved it below /usr."""
    tree = tmp_path / "toolchain"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/toolchain").write_text("busybox, tcc, musl\n")
    make = [REPO / "examples/hello/make-toolchain.sh", tree]
    first = subprocess.run(make, check=True, capture_output=True, text=True)
    assert first.stdout == f"downloading a shell and a C compiler from Debian into {tree}\n"
    assert list((tree / "lib64").resolve().glob("ld-linux*"))
    assert subprocess.run(make, check=True, capture_output=True).stdout == b""
