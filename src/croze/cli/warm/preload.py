"""What the warm process does ahead of time, so that a forked command imports nothing.

`everything` imports. `rehearse` does what is slow only the first time: in the warm process, so that
its children find code that has been run, and again in the one that waits for a caller, for what is
touched for the first time after a fork is copied. No thread, process or connection comes of them,
and nothing on disk.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator

MODULES = (
    "concurrent.futures.thread",
    "croze.api.engine_pb2_grpc",
    "croze.api.errdefs_pb2",
    "croze.cli.asking",
    "croze.cli.bake.build",
    "croze.client.builds.build",
    "croze.client.builds.llb",
    "croze.client.builds.rehearsal",
    "croze.client.builds.targets",
    "croze.client.connect",
    "croze.client.crozed.why",
    "croze.client.planning.checks",
    "croze.client.planning.make",
    "croze.client.planning.options",
    "croze.drivers.local",
    "croze.image.reference",
    "croze.progress.display",
    "croze.progress.errors",
    "croze.progress.plain",
    "croze.progress.quiet",
    "croze.progress.terminal.tty",
    "croze.progress.warnings",
    "croze.rpc.stacks",
    "croze.sdk.daemons",
    "croze.sdk.multinode",
    "croze.sdk.remember",
    "ctypes",
)


FOR_ENGINES = ("aiohttp", "croze.drivers.container", "croze.drivers.kubernetes.driver")
"""For users with a builder in an engine or a cluster: a tenth of a second, and megabytes."""
IN_ENGINES = (b'"docker-container"', b'"kubernetes"')


def everything() -> None:
    """Import all commands, and what they use."""
    from croze.cli.commands import COMMANDS

    for module, _ in COMMANDS.values():
        importlib.import_module(f"croze.cli.{module}")
    for name in (*MODULES, *(FOR_ENGINES if _has_builders_in_engines() else ())):
        importlib.import_module(name)
    from croze.cli import build
    from croze.cli.bake import command as bake

    build.flags()
    bake.flags()


def _has_builders_in_engines() -> bool:
    from croze.files.docker_config import buildx_dir
    from croze.files.settings import read_settings

    try:
        files = [read_settings(path) for path in (buildx_dir() / "instances").iterdir()]
    except OSError:
        return False
    return any(driver in data for data in files for driver in IN_ENGINES)


def rehearse(rounds: int = 1) -> None:
    """Read a command line, make its plan, and build nothing, so many times."""
    import asyncio

    from croze.cli import build
    from croze.cli.call import parse_call
    from croze.cli.common import Common
    from croze.client.builds.rehearsal import build_nothing
    from croze.client.planning.checks import check_texts
    from croze.client.planning.make import make_plan
    from croze.errors import CrozeError

    words = ["--progress=quiet", "--output=type=cacheonly", "/"]
    with nobodys_environment(), contextlib.suppress(CrozeError, OSError):  # then it is not faster
        for _ in range(rounds):
            options = build.options(build.flags().read(words, Common()), parse_call(""))
            check_texts(options)
            make_plan(options).close()
        asyncio.run(build_nothing(rounds))


@contextlib.contextmanager
def nobodys_environment() -> Iterator[None]:
    """Have an environment of nobody's while inside: that of who came first may be a git hook's, by
    which `/` is a work tree to look through, and names a home in which files are made."""
    before = dict(os.environb)
    os.environb.clear()
    os.environb.update({b"BUILDX_CONFIG": b"/proc/nobody", b"BUILDX_GIT_INFO": b"0"})
    try:
        yield
    finally:
        os.environb.clear()
        os.environb.update(before)
