"""Secrets of a client for a step: as files in memory, and as environment variables."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from croze.api import ops_pb2
from croze.errors import InvalidRequest, NotFound
from croze.fs import mount as fs_mount
from croze.session.contract import SessionManager
from croze.session.secrets import get_secret
from croze.store import mount as store_mount
from croze.store.contract import MountSpec


async def fetch(
    id: str, manager: SessionManager, sessions: Sequence[str], *, optional: bool
) -> bytes | None:
    """The secret's value from the first session that has it; None for an optional one that
    nobody has. Raises `errors.NotFound`, worded `secret <id>: not found`."""
    try:
        return await manager.first(sessions, lambda session: get_secret(session, id))
    except NotFound:
        if optional:
            return None
        raise


async def environment(
    secrets: Sequence[ops_pb2.SecretEnv], manager: SessionManager, sessions: Sequence[str]
) -> list[str]:
    """`NAME=value` for each; an optional secret that is missing gives an empty value."""
    out = []
    for secret in secrets:
        if not secret.ID:
            raise InvalidRequest(f'secret ID missing for "{secret.name}" environment variable')
        value = await fetch(secret.ID, manager, sessions, optional=secret.optional)
        # The runtime's configuration is JSON: what is not UTF-8 can't get through.
        out.append(f"{secret.name}={(value or b'').decode('utf-8', 'replace')}")
    return out


class SecretFiles:
    """The secret files of one step, on a tmpfs of their own that goes with the step."""

    def __init__(self, parent: Path, stack: AsyncExitStack) -> None:
        self._parent = parent
        self._stack = stack
        self._folder: Path | None = None
        self._lock = asyncio.Lock()

    async def mount(
        self, option: ops_pb2.SecretOpt, manager: SessionManager, sessions: Sequence[str]
    ) -> MountSpec | None:
        """A bind of the secret's file, None where an optional one is missing."""
        if not option.ID:
            raise InvalidRequest("secret ID missing from mount options")
        data = await fetch(option.ID, manager, sessions, optional=option.optional)
        if data is None:
            return None
        async with self._lock:
            path = self._write(data, option)
        options = ("ro", "rbind", "nodev", "nosuid")
        return MountSpec(
            "bind", str(path), options if option.mode & 0o111 else (*options, "noexec")
        )

    def _write(self, data: bytes, option: ops_pb2.SecretOpt) -> Path:
        if self._folder is None:
            self._folder = self._make_folder()
        path = self._folder / secrets.token_hex(12)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            os.fchown(fd, option.uid, option.gid)
            os.fchmod(fd, option.mode & 0o777)
        return path

    def _make_folder(self) -> Path:
        folder = self._parent / f"secrets-{secrets.token_hex(8)}"
        folder.mkdir(mode=0o711, parents=True)
        self._stack.callback(folder.rmdir)
        store_mount.mount(MountSpec("tmpfs", "tmpfs", ("nodev", "nosuid", "mode=711")), folder)
        self._stack.callback(fs_mount.unmount, folder)
        return folder
