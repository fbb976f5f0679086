"""Frontends that are images, containers that frontends open, and the clients that use them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.python_root import make_root
from tests.e2e.sandbox import REPO, Sandbox, execute

FRONTEND_DOCKERFILE = """\
FROM scratch
COPY --from=python . /
COPY frontend.py /frontend.py
LABEL moby.buildkit.frontend.network.none=true
LABEL moby.buildkit.frontend.caps=moby.buildkit.frontend.inputs
ENTRYPOINT ["/usr/bin/python3", "/frontend.py"]
"""
PACKFILE = """\
# syntax={frontend}
from = "{base}"
cmd = ["cat", "/greeting"]

[copy]
"hello.txt" = "/greeting"

[run]
count = "wc -c < /greeting > /count; echo $WHO >> /count"
"""


@dataclass(frozen=True)
class Registry:
    """What is in the registry."""

    host: str

    @property
    def base(self) -> str:
        return f"{self.host}/base/busybox:latest"

    def frontend(self, name: str) -> str:
        return f"{self.host}/frontends/{name}:1"


@pytest.fixture(scope="module")
def python_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("python") / "root")


@pytest.fixture(scope="module")
def images(desk: Sandbox, busybox: Path, local_registry: str, python_root: Path) -> Registry:
    """A base image and the example's frontend, pushed."""
    registry = Registry(local_registry)
    push(busybox, registry.base)
    context = desk.context("frontend", {"Dockerfile": FRONTEND_DOCKERFILE})
    shutil.copy(REPO / "examples/frontend/frontend.py", context)
    flags = ["--build-context", f"python={python_root}", "-t", registry.frontend("pack"), "--push"]
    desk.croze("build", *flags, context)
    return registry


def push(layout: Path, name: str) -> None:
    skopeo = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
    execute([*skopeo, f"oci:{layout}:latest", f"docker://{name}"], {"PATH": "/usr/bin:/bin"})


def pack(desk: Sandbox, images: Registry, text: str = PACKFILE) -> Path:
    filled = text.format(frontend=images.frontend("pack"), base=images.base)
    return desk.context("pack", {"Packfile": filled, "hello.txt": "hello\n"})


def test_the_example_frontend(desk: Sandbox, images: Registry) -> None:
    context = pack(desk, images)
    out = desk.path / "out"
    flags = ["-f", context / "Packfile", "--build-arg", "WHO=me"]
    done = desk.croze("build", *flags, "--progress=plain", "-o", out, context)
    assert (out / "count").read_text() == "6\nme\n"
    assert "packing Packfile" in done.stderr
    desk.croze("build", *flags, "-t", "packed", context)
    assert desk.croze("run", "packed").stdout == "hello\n"


def test_errors_of_a_frontend_come_to_the_user(desk: Sandbox, images: Registry) -> None:
    context = pack(desk, images, "# syntax={frontend}\nfrom = \n")
    failed = desk.croze("build", "-f", context / "Packfile", context, check=False)
    assert failed.code == 1
    assert "Packfile: Invalid value" in failed.stderr
    context = pack(desk, images, PACKFILE + 'fail = "exit 7"\n')
    failed = desk.croze("build", "-f", context / "Packfile", context, check=False)
    assert "exit code: 7" in failed.stderr
