"""Every instruction and flag does what it says: real CLI, real daemon, real containers.

The Dockerfiles in `language/` check themselves with `RUN test …`: a build that ends well has
proved every line. Their flags stand in a `# flags:` comment.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import Done, Sandbox

LANGUAGE = Path(__file__).with_name("language")
FILES = {
    "one": "1\n",
    "dir/two": "2\n",
    "dir/deep/three": "3\n",
    "dir/deep/four": "4\n",
    "side/extra": "side",
}


@pytest.fixture
def context(desk: Sandbox, request: pytest.FixtureRequest) -> Path:
    made = desk.context(request.node.name, FILES)
    (made / "slink").symlink_to("one")
    (made / "dir/inner-link").symlink_to("two")
    return made


def flags_of(text: str) -> list[str]:
    """What the Dockerfile asks of the command line."""
    marked = [line for line in text.splitlines() if line.startswith("# flags: ")]
    return [word for line in marked for word in shlex.split(line.removeprefix("# flags: "))]


def build(desk: Sandbox, busybox: Path, file: Path, context: Path, *flags: str | Path) -> Done:
    words = [*base(busybox), "--build-context", f"side={context}/side", "-f", file, *flags]
    env = {"TOKEN_OUTSIDE": "s3"}
    return desk.croze("build", *words, "--progress=plain", context, env=env)


@pytest.mark.parametrize("name", sorted(p.stem for p in LANGUAGE.iterdir()))
def test_a_dockerfile_finds_what_it_made_as_it_should_be(
    desk: Sandbox, busybox: Path, context: Path, name: str
) -> None:
    file = LANGUAGE / f"{name}.Dockerfile"
    flags = flags_of(file.read_text())
    host_network = f"HOST_NET={os.readlink('/proc/self/ns/net')}"
    build(desk, busybox, file, context, *flags, "--build-arg", host_network)
