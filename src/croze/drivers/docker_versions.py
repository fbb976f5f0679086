"""Which BuildKit an old Docker engine has in it: those before 24 can't say it themselves.

Source: docker/buildx `driver/docker/version.go`, for released versions. What comes before a release
counts as the release.
"""

from __future__ import annotations

import re

_FIRST_WITH = (
    ((18, 6, 0), "v0.0.0+9acf51e"),
    ((18, 6, 1), "v0.0.0+98f1604"),
    ((18, 9, 0), "v0.0.0+c7bb575"),
    ((18, 9, 1), "v0.3.3"),
    ((19, 3, 0), "v0.5.1+1f89ec1"),
    ((19, 3, 2), "v0.6.1+588c73e"),
    ((19, 3, 3), "v0.6.2"),
    ((19, 3, 5), "v0.6.3+928f3b4"),
    ((19, 3, 6), "v0.6.3+57e8ad5"),
    ((19, 3, 7), "v0.6.4"),
    ((19, 3, 9), "v0.6.4+a7d7b7f"),
    ((19, 3, 13), "v0.6.4+df89d4d"),
    ((19, 3, 15), "v0.6.4+396bfe2"),
    ((20, 10, 0), "v0.8.1"),
    ((20, 10, 3), "v0.8.1+68bb095"),
    ((20, 10, 4), "v0.8.2"),
    ((20, 10, 7), "v0.8.2+244e8cde"),
    ((20, 10, 11), "v0.8.2+bc07b2b8"),
    ((20, 10, 19), "v0.8.2+3a1eeca5"),
    ((20, 10, 20), "v0.8.2+c0149372"),
    ((20, 10, 21), "v0.8.2+eeb7b65"),
    ((20, 10, 24), "v0.8+unknown"),
    ((22, 6, 0), "v0.10.3"),
    ((23, 0, 0), "v0.10.6"),
    ((23, 0, 1), "v0.10.6+4f0ee09"),
    ((23, 0, 2), "v0.10.6+70f2ad5"),
    ((23, 0, 4), "v0.10.6+d52b2d5"),
    ((23, 0, 7), "v0.10+unknown"),
    ((24, 0, 0), ""),
)
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def buildkit_of(engine: str) -> str:
    """The version of the BuildKit in an engine of this version, such as `20.10.24+dfsg1`; newer
    engines say it themselves."""
    match = _VERSION.match(engine)
    if match is None:
        return engine
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    versions = [buildkit for first, buildkit in _FIRST_WITH if first <= version]
    return versions[-1] if versions and versions[-1] else engine.removesuffix("-moby")
