"""What is pushed, in other hands: Docker's engine pulls it, cosign signs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.dockerd import own_dockerd
from tests.e2e.sandbox import REPO, Done, Sandbox, execute

COSIGN = REPO / ".cache/peers/sid/root/usr/bin/cosign"
DOCKERFILE = "FROM base\nRUN echo hello > /said\n"
ATTESTED = ("--provenance=mode=max", "--sbom=generator=croze")


@pytest.fixture
def app(sandbox: Sandbox) -> Path:
    return sandbox.context("app", {"Dockerfile": DOCKERFILE})


def push(
    sandbox: Sandbox, busybox: Path, app: Path, name: str, *flags: str, compression: str = "gzip"
) -> str:
    """The digest of what has the name now."""
    metadata = sandbox.path / "metadata.json"
    output = f"type=image,name={name},push=true,compression={compression},force-compression=true"
    words: list[str | Path] = ["--metadata-file", metadata, *flags]
    sandbox.croze("build", *base(busybox), *words, "-o", output, app)
    return str(json.loads(metadata.read_bytes())["containerimage.digest"])


def test_docker_pulls_what_was_pushed(
    sandbox: Sandbox,
    busybox: Path,
    app: Path,
    local_registry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    repository = f"{local_registry}/published/app"
    digests = {
        kind: push(sandbox, busybox, app, f"{repository}:{kind}", *ATTESTED, compression=kind)
        for kind in ("gzip", "estargz")
    }
    with own_dockerd(tmp_path_factory.mktemp("dockerd")) as host:
        docker = ["docker", "-H", host]
        for kind, digest in digests.items():
            name = f"{repository}:{kind}"
            execute([*docker, "pull", name], sandbox.env)
            (pulled,) = json.loads(execute([*docker, "inspect", name], sandbox.env).stdout)
            assert pulled["RepoDigests"] == [f"{repository}@{digest}"]
            ran = [*docker, "run", "--rm", "--network=none", name, "cat", "/said"]
            assert execute(ran, sandbox.env).stdout == "hello\n"


class Cosign:
    """Debian's, with a key pair of its own and no service of anybody's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._env = {"HOME": str(folder), "COSIGN_PASSWORD": "", "PATH": "/usr/bin:/bin"}
        self("generate-key-pair")

    def __call__(self, *words: str, check: bool = True) -> Done:
        return execute([COSIGN, *words], self._env, cwd=self._folder, check=check)

    def sign(self, image: str, *flags: str) -> None:
        quiet = ("--use-signing-config=false", "--tlog-upload=false", "--yes")
        self("sign", "--key=cosign.key", *quiet, *flags, image)

    def verified(self, image: str, *flags: str) -> bool:
        trust = ("--key=cosign.pub", "--insecure-ignore-tlog=true")
        return self("verify", *trust, *flags, image, check=False).code == 0


@pytest.mark.parametrize("flags", [(), ("--new-bundle-format=false",)], ids=["referrer", "tag"])
def test_signatures_hold(
    sandbox: Sandbox,
    busybox: Path,
    app: Path,
    local_registry: str,
    tmp_path: Path,
    flags: tuple[str, ...],
) -> None:
    """Through what is done to an image afterwards, by whom it was not signed."""
    repository = f"{local_registry}/signed/{'old' if flags else 'new'}"
    cosign = Cosign(tmp_path)
    digest = push(sandbox, busybox, app, f"{repository}:1", *ATTESTED)
    assert not cosign.verified(f"{repository}:1", *flags)
    cosign.sign(f"{repository}@{digest}", *flags)
    assert cosign.verified(f"{repository}:1", *flags)
    shown = sandbox.croze("imagetools", "inspect", f"{repository}:1").stdout
    assert f"Digest:    {digest}" in shown
    sandbox.croze("imagetools", "create", "-t", f"{repository}:2", f"{repository}:1")
    assert cosign.verified(f"{repository}:2", *flags)
    later = sandbox.context("later", {"Dockerfile": f"FROM {repository}:2\nRUN cat /said\n"})
    sandbox.croze("build", "-o", "type=cacheonly", later)
    plain = push(sandbox, busybox, app, f"{repository}:3", "--provenance=false")
    cosign.sign(f"{repository}@{plain}", *flags)
    again = push(
        sandbox, busybox, app, f"{repository}:3", "--provenance=false", "--no-cache-filter=x"
    )
    assert again == plain
    assert cosign.verified(f"{repository}:3", *flags)
    other = sandbox.context("other", {"Dockerfile": f"{DOCKERFILE}RUN touch /more\n"})
    push(sandbox, busybox, other, f"{repository}:3", "--provenance=false")
    assert not cosign.verified(f"{repository}:3", *flags)
