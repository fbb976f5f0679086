"""Croze: Docker Build, whole, in Python.

An engine (`crozed`) and a client (`croze`) that speak BuildKit's protocols, and this library:

    import croze

    result = croze.build(".", tags=["app"], push=True)

    async with croze.connect() as builder:
        build = builder.build(".", tags=["app"])
        async for event in build:
            print(event)
        result = await build

`docs/python.md` has more. To read the code start with `docs/life-of-a-build.md`, which follows one
build through every package in it.
"""

from croze.version import VERSION

__version__ = VERSION

# As `typing.TYPE_CHECKING`, without the import: `croze` starts in less time than that takes.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from croze.errors import Canceled as Canceled
    from croze.errors import CrozeError as CrozeError
    from croze.errors import InvalidRequest as InvalidRequest
    from croze.errors import NotFound as NotFound
    from croze.errors import Unavailable as Unavailable
    from croze.errors import Unsupported as Unsupported
    from croze.progress.events import BuildWarning as BuildWarning
    from croze.progress.events import Event as Event
    from croze.progress.events import Step as Step
    from croze.progress.events import StepDone as StepDone
    from croze.progress.events import StepLog as StepLog
    from croze.progress.events import StepProgress as StepProgress
    from croze.progress.events import StepStarted as StepStarted
    from croze.sdk.builder import Builder as Builder
    from croze.sdk.connect import build as build
    from croze.sdk.connect import connect as connect
    from croze.sdk.images import RemoteImage as RemoteImage
    from croze.sdk.options import BuildArguments as BuildArguments
    from croze.sdk.results import BuildRecord as BuildRecord
    from croze.sdk.results import BuildStatus as BuildStatus
    from croze.sdk.results import CacheRecord as CacheRecord
    from croze.sdk.results import Result as Result
    from croze.sdk.running import Build as Build
    from croze.sdk.sync import SyncBuilder as SyncBuilder

__all__ = [
    "Build",
    "BuildArguments",
    "BuildRecord",
    "BuildStatus",
    "BuildWarning",
    "Builder",
    "CacheRecord",
    "Canceled",
    "CrozeError",
    "Event",
    "InvalidRequest",
    "NotFound",
    "RemoteImage",
    "Result",
    "Step",
    "StepDone",
    "StepLog",
    "StepProgress",
    "StepStarted",
    "SyncBuilder",
    "Unavailable",
    "Unsupported",
    "build",
    "connect",
]

_MODULES = {
    "croze.errors": (
        *("Canceled", "CrozeError", "InvalidRequest", "NotFound", "Unavailable", "Unsupported"),
    ),
    "croze.progress.events": (
        *("BuildWarning", "Event", "Step", "StepDone", "StepLog", "StepProgress", "StepStarted"),
    ),
    "croze.sdk.builder": ("Builder",),
    "croze.sdk.connect": ("build", "connect"),
    "croze.sdk.images": ("RemoteImage",),
    "croze.sdk.options": ("BuildArguments",),
    "croze.sdk.results": ("BuildRecord", "BuildStatus", "CacheRecord", "Result"),
    "croze.sdk.running": ("Build",),
    "croze.sdk.sync": ("SyncBuilder",),
}
_LAZY = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """The library's front door, imported only when it is used: start-up time counts."""
    if name not in _LAZY:
        raise AttributeError(f"module 'croze' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
