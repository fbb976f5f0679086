"""Builders whose image must be signed: the engine is ours, Docker's image in a registry here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.docker_engine import Engine, running_engine
from tests.e2e.sandbox import CROZE, Done, execute, registry
from tests.e2e.signed_builders import BUILDER, ROOT, image_of
from tests.support.signed_images import SignedImage, push
from tests.support.sigstore import GITHUB, Instance

NAME, TAG = "docker.io/moby/buildkit", "buildx-stable-1"
SIGNED = {**GITHUB, 9: BUILDER, 12: "https://github.com/moby/buildkit", 14: "refs/tags/v0.31.0"}


@dataclass(frozen=True)
class Place:
    engine: Engine
    registry: str
    instance: Instance
    root: Path

    def publish(self, image: SignedImage, tag: str = TAG) -> None:
        push(image, self.registry, "moby/buildkit", tag)

    def create(self, name: str, tag: str = TAG) -> Done:
        env = {**self.engine.env, "BUILDX_DEFAULT_POLICY": "1", ROOT: str(self.root)}
        words = ["create", "--driver=docker-container", "--bootstrap", f"--name={name}"]
        image = f"--driver-opt=image=moby/buildkit:{tag}"
        return execute([CROZE, *words, image], env, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("verified")
    instance = Instance()
    (folder / "root.json").write_text(json.dumps(instance.trusted_root()))
    with registry(folder / "registry") as host:
        toml = folder / "buildkitd.toml"
        toml.write_text(f'[registry."docker.io"]\nmirrors = ["{host}"]\n')
        with running_engine(folder / "engine", "--config", str(toml)) as engine:
            yield Place(engine, host, instance, folder / "root.json")


def test_an_image_that_is_not_signed_is_not_run(place: Place) -> None:
    image = image_of("bare")
    place.publish(image)
    done = place.create("bare")
    assert done.code == 1
    assert f"failed to verify image {NAME}:{TAG}" in done.stderr
    assert "a verified docker-github-builder signature is required for" in done.stderr


def test_what_runs_is_what_was_signed(place: Place) -> None:
    image = image_of("signed")
    image.sign(place.instance, fields=SIGNED, san=BUILDER)
    place.publish(image)
    done = place.create("signed")
    assert "failed to verify" not in done.stderr
    assert f"verifying image {NAME}:{TAG}" in done.stderr
    assert "creating container" in done.stderr
    place.publish(image, "v0.32.0-rootless")
    other = place.create("other", "v0.32.0-rootless")
    assert "failed to verify" in other.stderr, "signed as another release"
