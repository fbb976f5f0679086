"""A client's SSH agent for a step, as a socket to bind."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from croze.api import ops_pb2
from croze.errors import CrozeError, Unsupported
from croze.session import ssh
from croze.session.contract import Session, SessionManager
from croze.store.contract import MountSpec


async def agent_mount(
    option: ops_pb2.SSHOpt,
    manager: SessionManager,
    sessions: Sequence[str],
    stack: AsyncExitStack,
    directory: Path,
) -> MountSpec | None:
    """The agent of the first session that forwards one under this id; None where an optional one
    is missing. The socket lives until `stack` closes."""
    session = await _find(option, manager, sessions)
    if session is None:
        return None
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    path = await stack.enter_async_context(
        ssh.agent_socket(
            session,
            option.ID or ssh.DEFAULT_ID,
            uid=option.uid,
            gid=option.gid,
            mode=option.mode & 0o777,
            directory=str(directory),
        )
    )
    return MountSpec("bind", str(path), ("rbind",))


async def _find(
    option: ops_pb2.SSHOpt, manager: SessionManager, sessions: Sequence[str]
) -> Session | None:
    async def check(session: Session) -> Session:
        try:
            await ssh.check(session, option.ID or ssh.DEFAULT_ID)
        except Unsupported:
            raise Unsupported(f'no SSH key "{option.ID}" forwarded from the client') from None
        return session

    try:
        return await manager.first(sessions, check)
    except CrozeError:
        if option.optional:
            return None
        raise
