"""A Dockerfile that is at a web address: read by the daemon, which may reach what we don't."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from croze.client.planning.inputs import is_http
from croze.client.planning.options import BuildOptions

if TYPE_CHECKING:
    from croze.api import control_pb2
    from croze.client.connect import Client


async def with_remote_dockerfile(
    client: Client, options: BuildOptions, show: Callable[[control_pb2.StatusResponse], None]
) -> BuildOptions:
    """The options with what is at their Dockerfile's URL, if it is one. Raises `CrozeError`."""
    url = options.dockerfile
    if not is_http(url) or options.dockerfile_inline is not None:
        return options
    from croze.client.builds.remote_files import read_remote_dockerfile

    return replace(options, dockerfile_read=await read_remote_dockerfile(client, url, show))
