"""A build that an editor steps through."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from msgspec.structs import replace

from croze.client.builds.build import run_build
from croze.client.builds.result import BuildResult
from croze.client.planning.builder import BuilderTraits
from croze.client.planning.options import BuildOptions
from croze.debug import terminal
from croze.debug.dap.adapter import Adapter, Launch, serving
from croze.debug.dap.protocol import DapConnection
from croze.debug.terminal import Keyboard
from croze.errors import CrozeError, InvalidRequest

if TYPE_CHECKING:
    from croze.client.connect import Dial
    from croze.progress.display import Display

BUFFER_BYTES = 64 << 10


async def build_adapted(
    options: BuildOptions,
    *,
    dial: Dial,
    builder: BuilderTraits | None,
    display: Callable[[BinaryIO], Display],
    remembered: Callable[[BuildOptions], BuildOptions],
) -> BuildResult:
    """Serve an editor on standard input and output: it says what to build, and steps through it.
    What a display would draw goes to the editor, too. Raises `CrozeError`."""
    connection = DapConnection(Keyboard(), terminal.show)
    async with serving(connection) as adapter:
        try:
            launch = await adapter.launched()
        except CrozeError as error:
            raise error.wrap("debug adapter did not start") from None
        launched = _launched(options, launch)
        adapter.dockerfile = _dockerfile(launched)
        async with dial() as client:
            return await run_build(
                client,
                remembered(launched),
                display(io.BufferedWriter(_Output(adapter), BUFFER_BYTES)),
                builder=builder,
                work=adapter.work,
            )


def _launched(options: BuildOptions, launch: Launch) -> BuildOptions:
    launched = replace(
        options,
        dockerfile=launch.dockerfile or options.dockerfile,
        context=launch.context or options.context,
        target=launch.target or options.target,
    )
    if not launched.context:
        raise InvalidRequest('please specify build context (e.g. "." for the current directory)')
    if "-" in (launched.context, launched.dockerfile):
        raise InvalidRequest("Dockerfile or context from stdin is not supported with debugger")
    return launched


def _dockerfile(options: BuildOptions) -> tuple[str, str]:
    here = options.dockerfile or os.path.join(options.context, "Dockerfile")
    return os.path.basename(here), here


class _Output(io.RawIOBase):
    """What is drawn, as events."""

    def __init__(self, adapter: Adapter) -> None:
        super().__init__()
        self._adapter = adapter

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        shown = bytes(memoryview(data)) if isinstance(data, (bytes, bytearray, memoryview)) else b""
        if shown:
            self._adapter.output(shown)
        return len(shown)
