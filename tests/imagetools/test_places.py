"""Registries as the builder's daemon knows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.errors import InvalidRequest
from croze.imagetools.places import registries
from croze.registry.hosts import RegistryConfig

CONFIG = b"""\
debug = true
[registry."docker.io"]
mirrors = ["mirror.example:5000/hub"]
[registry."mirror.example:5000"]
http = true
[registry."private.example"]
insecure = true
ca = ["/etc/buildkit/certs/private.example/ca.pem", "/not/kept.pem"]
[[registry."private.example".keypair]]
key = "/etc/buildkit/certs/private.example/key.pem"
cert = "/etc/buildkit/certs/private.example/cert.pem"
[[registry."private.example".keypair]]
key = "/etc/buildkit/certs/private.example/key.pem"
cert = "/not/kept.pem"
"""


def test_certificates_that_are_kept_with_the_builder_count(tmp_path: Path) -> None:
    certificates = {
        f"certs/private.example/{name}.pem": name.encode() for name in ("ca", "key", "cert")
    }
    found = registries({"buildkitd.toml": CONFIG, **certificates}, tmp_path)
    folder = tmp_path / "certs/private.example"
    assert found == {
        "docker.io": RegistryConfig(mirrors=("mirror.example:5000/hub",)),
        "mirror.example:5000": RegistryConfig(http=True),
        "private.example": RegistryConfig(
            insecure=True,
            ca=(str(folder / "ca.pem"),),
            keypairs=((str(folder / "key.pem"), str(folder / "cert.pem")),),
        ),
    }
    assert (folder / "key.pem").read_bytes() == b"key"


def test_no_configuration_says_nothing(tmp_path: Path) -> None:
    assert registries({}, tmp_path) == {}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"buildkitd.toml": b"registry = 1"}, "failed to parse buildkitd.toml of the builder"),
        ({"buildkitd.toml": b"["}, "failed to parse buildkitd.toml of the builder"),
        ({"../x": b""}, "invalid file name ../x of the builder"),
        ({"/x": b""}, "invalid file name /x of the builder"),
    ],
)
def test_bad_files_are_refused(files: dict[str, bytes], problem: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=problem.replace(".", "[.]")):
        registries(files, tmp_path / "below")
    assert list(tmp_path.rglob("x")) == []
