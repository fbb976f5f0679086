"""Where mirrors are asked, however they are written."""

from __future__ import annotations

import pytest

from croze.registry.hosts import RegistryConfig, endpoints

MIRRORS = {
    "m.example": "https://m.example/v2/x",
    "m.example:5000/proxy/hub/": "https://m.example:5000/v2/proxy/hub/x",
    "m.example/v2/hub": "https://m.example/v2/v2/hub/x",
    "https://m.example:5000": "https://m.example:5000/v2/x",
    "http://m.example/hub": "https://m.example/v2/hub/x",
    "http://localhost:5000/hub//a": "http://localhost:5000/v2/hub/a/x",
    "plain.example/hub": "http://plain.example/v2/hub/x",
    "https://plain.example": "http://plain.example/v2/x",
}


@pytest.mark.parametrize("mirror", MIRRORS)
def test_where_a_mirror_is_asked(mirror: str) -> None:
    configs = {
        "docker.io": RegistryConfig(mirrors=(mirror,)),
        "plain.example": RegistryConfig(http=True),
    }
    asked, real = endpoints("docker.io", configs)
    assert asked.url("x") == f"{MIRRORS[mirror]}?ns=docker.io"
    assert real.url("x") == "https://registry-1.docker.io/v2/x"
