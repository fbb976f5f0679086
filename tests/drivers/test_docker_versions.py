"""The cases of buildx's own test, as far as they are of released versions."""

from __future__ import annotations

import pytest

from croze.drivers.docker_versions import buildkit_of


@pytest.mark.parametrize(
    ("engine", "buildkit"),
    [
        ("18.06.1-ce", "v0.0.0+98f1604"),
        ("18.09.1-beta1", "v0.3.3"),
        ("19.03.13", "v0.6.4+df89d4d"),
        ("20.10.3-rc.1", "v0.8.1+68bb095"),
        ("20.10.3", "v0.8.1+68bb095"),
        ("20.10.4", "v0.8.2"),
        ("20.10.16", "v0.8.2+bc07b2b8"),
        ("20.10.19", "v0.8.2+3a1eeca5"),
        ("20.10.23", "v0.8.2+eeb7b65"),
        ("20.10.24", "v0.8+unknown"),
        ("20.10.24+dfsg1", "v0.8+unknown"),
        ("20.10.50", "v0.8+unknown"),
        ("22.06.0-beta.0", "v0.10.3"),
        ("23.0.0-rc.4", "v0.10.6"),
        ("23.0.1", "v0.10.6+4f0ee09"),
        ("23.0.3", "v0.10.6+70f2ad5"),
        ("23.0.5", "v0.10.6+d52b2d5"),
        ("23.0.7", "v0.10+unknown"),
        ("24.0.0", "24.0.0"),
        ("v0.11.7-moby", "v0.11.7"),
        ("dev", "dev"),
    ],
)
def test_old_engines_have_the_buildkit_they_were_built_with(engine: str, buildkit: str) -> None:
    assert buildkit_of(engine) == buildkit
