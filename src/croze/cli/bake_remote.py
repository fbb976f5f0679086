"""Definitions that are elsewhere: in a git repository, or at a web address."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from croze.bake.options.entries import Secret
from croze.bake.paths import is_remote
from croze.bake.requests import BuildRequest
from croze.bake.world import File
from croze.cli.bake_files import DEFAULT_NAMES
from croze.cli.build import progress_mode
from croze.cli.daemon import reach

if TYPE_CHECKING:
    from croze.cli.common import Common

HERE = "cwd://"


@dataclass(frozen=True)
class Words:
    """The command's words: where the definition is, what its targets may call the directory of the
    command, and the targets."""

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


def read_remote(url: str, names: Sequence[str], progress: str, common: Common) -> list[File]:
    """The files of these names there, or those of the usual names that there are."""
    from croze.client.remote_files import read_remote_files
    from croze.progress.display import make_display, running

    there = reach(common)
    display = make_display(progress_mode(progress, command="croze bake"), sys.stderr.buffer)

    async def read() -> list[tuple[str, bytes]]:
        async with there.dial() as client, running(display):
            return await read_remote_files(client, url, names, DEFAULT_NAMES, display.update)

    return [File(name, data) for name, data in asyncio.run(read())]


def with_git_secrets(request: BuildRequest, url: str) -> BuildRequest:
    """With the tokens for the definition's host, if the target's context is there as well."""
    if not url or not is_remote(request.context):
        return request
    from croze.client.remote_files import git_host, git_secrets

    if git_host(request.context) != git_host(url):
        return request
    found = tuple(Secret(each.id, env=each.env) for each in git_secrets(url))
    return replace(request, secrets=(*request.secrets, *found))
