"""Which `# syntax=` lines the daemon answers by itself."""

from __future__ import annotations

import pytest

from croze.gateway.dockerfile_frontend import own_frontend

OWN, LABS, OTHER = (True, False), (True, True), (False, False)
PIN = "@sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("dockerfile.v0", OWN),
        ("docker/dockerfile", OWN),
        ("docker.io/docker/dockerfile:latest", OWN),
        ("docker/dockerfile:1", OWN),
        ("docker/dockerfile-upstream:master", OWN),
        ("docker/dockerfile:1-labs", LABS),
        ("docker/dockerfile:labs", LABS),
        ("docker/dockerfile-upstream:master-labs", LABS),
        ("docker/dockerfile:1.4", OTHER),
        ("docker/dockerfile:1.4.3", OTHER),
        ("docker/dockerfile:1.7-labs", OTHER),
        ("docker/dockerfile:1.0-experimental", OTHER),
        ("docker/dockerfile:2", OTHER),
        (f"docker/dockerfile{PIN}", OTHER),
        (f"docker/dockerfile:1{PIN}", OTHER),
        ("registry.example/docker/dockerfile:1", OTHER),
        ("not a reference", OTHER),
    ],
)
def test_the_newest_is_ours_and_a_version_is_meant(image: str, expected: tuple[bool, bool]) -> None:
    assert own_frontend(image, {}) == expected


@pytest.mark.parametrize(
    ("image", "context"),
    [
        ("docker/dockerfile:1", "context:docker/dockerfile:1"),
        ("docker.io/docker/dockerfile:1", "context:docker/dockerfile:1::linux/amd64"),
        ("docker/dockerfile", "context:docker/dockerfile"),
        ("docker/dockerfile:latest", "context:docker/dockerfile"),
    ],
)
def test_a_named_context_goes_first(image: str, context: str) -> None:
    assert own_frontend(image, {context: "oci-layout://x"}) == OTHER
    assert own_frontend(image, {context.replace("docker/", "x/"): "oci-layout://x"}) == OWN
