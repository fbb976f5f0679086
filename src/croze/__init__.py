"""Croze: Docker Build, whole, in Python.

An engine (`crozed`) and a client (`croze`) that speak BuildKit's protocols. Start with
`docs/life-of-a-build.md`, which follows one build through every room of this package.
"""

__version__ = "0.1.0"

# As `typing.TYPE_CHECKING`, without the import: `croze` starts in less time than that takes.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from croze.client.build import BuildResult as BuildResult
    from croze.client.build import build as build
    from croze.client.build import build_async as build_async
    from croze.client.options import BuildOptions as BuildOptions

_LAZY = {
    "build": "croze.client.build",
    "build_async": "croze.client.build",
    "BuildResult": "croze.client.build",
    "BuildOptions": "croze.client.options",
}


def __getattr__(name: str) -> object:
    """The library's front door, imported only when it is used: start-up time counts."""
    if name not in _LAZY:
        raise AttributeError(f"module 'croze' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)
