"""Files of a git repository or a web server, read by the daemon.

Source: buildx `bake/remote.go`, `bake/gitauth.go`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from croze import llb
from croze.client.inputs import is_archive, is_git
from croze.client.plan import AgentFrom, SecretFrom, SolvePlan
from croze.errors import CrozeError, InvalidRequest
from croze.files.redact import redact
from croze.llb.giturl import parse_git_url

if TYPE_CHECKING:
    from croze.api import control_pb2, gateway_pb2
    from croze.client.connect import Client
    from croze.client.held import Bridge

MAX_BYTES = 2 * 1000 * 1000
_FILE = "context"
_SECRETS = {
    "GIT_AUTH_TOKEN": "BUILDX_BAKE_GIT_AUTH_TOKEN",
    "GIT_AUTH_HEADER": "BUILDX_BAKE_GIT_AUTH_HEADER",
}


async def read_remote_files(
    client: Client,
    url: str,
    names: Sequence[str],
    usual_names: Sequence[str],
    show: Callable[[control_pb2.StatusResponse], None],
) -> list[tuple[str, bytes]]:
    """Names and contents: the named files of a repository, or those of the usual names that it has;
    or the one file at a web address. Raises `CrozeError`."""
    found: list[tuple[str, bytes]] = []

    async def work(bridge: Bridge) -> gateway_pb2.Result:
        result = await bridge.solve(_state(url).marshal())
        ref = result.ref.id
        if not is_git(url):
            found.append((url, await _read(bridge, ref, _FILE)))
            if is_archive(found[0][1][:1024]):
                raise InvalidRequest(f"{redact(url)} is an archive: get it and unpack it")
            return result
        for name in names:
            found.append((name, await _read(bridge, ref, name)))
        for name in () if names else usual_names:
            try:
                await bridge.size(ref, name)
            except CrozeError:
                continue
            found.append((name, await _read(bridge, ref, name)))
        return result

    plan = SolvePlan(internal=True, secrets=git_secrets(url), ssh=_agents(url))
    await client.solve(plan, show, work=work)
    return found


async def _read(bridge: Bridge, ref: str, name: str) -> bytes:
    if await bridge.size(ref, name) > MAX_BYTES:
        raise InvalidRequest(f"{name} is larger than a definition may be (2MB)")
    return await bridge.read(ref, name)


def _state(url: str) -> llb.State:
    if not is_git(url):
        return llb.http(url, filename=_FILE, name="[internal] load remote build context")
    full = f"https://{url}" if url.startswith("github.com/") else url
    parsed = parse_git_url(full)
    if parsed.query:
        raise InvalidRequest(f"{redact(url)}: a query is not supported here, use #ref:directory")
    name = f"[internal] load git source {redact(url)}"
    return llb.git(parsed.remote, parsed.ref, subdir=parsed.subdir, name=name)


def git_host(url: str) -> str:
    """The host of a git repository; empty for what is none."""
    return parse_git_url(url).host if is_git(url) and "://" in url else ""


def git_secrets(url: str) -> list[SecretFrom]:
    """Tokens that the environment has for the host of a repository."""
    host = git_host(url)
    return [
        SecretFrom(f"{id}.{host}", env=name)
        for id, name in _SECRETS.items()
        if host and name in os.environ
    ]


def _agents(url: str) -> list[AgentFrom]:
    paths = os.environ.get("BUILDX_BAKE_GIT_SSH", "")
    if not is_git(url) or not (paths or os.environ.get("SSH_AUTH_SOCK")):
        return []
    return [AgentFrom("default", tuple(paths.split(",")) if paths else ())]
