"""Definitions that are elsewhere: in a git repository, or at a web address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from croze.bake.options.entries import SecretEntry, SshEntry
from croze.bake.paths import is_remote
from croze.bake.requests import BuildRequest
from croze.sdk.bake_files import DEFAULT_NAMES

if TYPE_CHECKING:
    from croze.cli.bake.progress import BakeProgress
    from croze.client.builds.remote_files import RemoteFiles
    from croze.drivers.reach import Reach

HERE = "cwd://"


class Words(Struct, frozen=True):
    """The words of a command whose definition is elsewhere: where it is, what its targets may call
    the directory of the command, and the targets."""

    url: str
    command_context: str
    targets: list[str]


def read_words(words: Sequence[str]) -> Words:
    url, context, targets = "", HERE, list(words)
    if targets and is_remote(targets[0]):
        url = targets.pop(0)
        if targets and is_remote(targets[0]):
            context = targets.pop(0)
    return Words(url, context, targets or ["default"])


def read_remote(
    url: str, names: Sequence[str], there: Reach, progress: BakeProgress
) -> RemoteFiles:
    """The files of these names there, or those of the usual names that there are."""
    from croze.cli.interrupted import Interruptible
    from croze.client.builds.remote_files import read_remote_files
    from croze.progress.display import refreshing

    reading = Interruptible(work="failed to run Build function")

    async def read() -> RemoteFiles:
        async with there.dial() as client, refreshing(progress.display):
            reading.solving()
            return await read_remote_files(client, url, names, DEFAULT_NAMES, progress.show)

    return reading.run(read())


def with_git_access(request: BuildRequest, url: str) -> BuildRequest:
    """The target with the tokens for the definition's host, if the target's context is there as
    well, and the agent if the definition came by ssh."""
    from croze.client.builds.remote_files import git_host, git_secrets
    from croze.client.planning.inputs import is_git_over_ssh

    if "@" in url and is_git_over_ssh(url):
        request = replace(request, ssh=(SshEntry("default"),))
    host, of_context = git_host(url), git_host(request.context)
    if not is_remote(request.context) or host.lower() != of_context.lower():
        return request
    secrets = tuple(SecretEntry(each.id, env=each.env) for each in git_secrets(url))
    return replace(request, secrets=(*request.secrets, *secrets))
