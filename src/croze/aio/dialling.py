"""Connections to hosts by their names, as programs in Go make them.

A name may have several addresses, and not all lead somewhere. asyncio's own way waits for each as
long as the kernel does, tells of them all in one text, and leaves its thread, which asks for the
addresses, to whoever ends the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Final

from croze.aio.threads import abandonable

PATIENCE_S: Final = 0.3
"""How long an address may take before the next one is tried beside it (RFC 8305)."""

Address = tuple[socket.AddressFamily, tuple[str | int | bytes, ...]]


async def dialled(host: str, port: int) -> socket.socket:
    """A TCP connection to the first address that answers; no host is this machine. Raises the
    `OSError` of the address that failed first, and `UnicodeError` for what can't be a name."""
    return await _first(_in_turns(await _addresses(host, port)))


def reason(error: OSError) -> str:
    """Why there is no connection, in lower case; asyncio's own words have the address in them."""
    if isinstance(error, ssl.SSLCertVerificationError):
        words = f"certificate verify failed: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        words = (error.reason or str(error)).replace("_", " ")
    elif error.errno is not None and error.errno > 0:
        words = os.strerror(error.errno)
    else:
        words = error.strerror or str(error) or "no connection"
    return words.lower()


async def _addresses(host: str, port: int) -> list[Address]:
    kind = socket.SOCK_STREAM
    try:
        infos = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        infos = await abandonable(socket.getaddrinfo, host, port, type=kind)
    return [(family, address) for family, _, _, _, address in infos]


def _in_turns(addresses: Sequence[Address]) -> list[Address]:
    """The families in turns, the system's favourite first: one of them may lead nowhere."""
    first = [each for each in addresses if each[0] == addresses[0][0]]
    others = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for each in chain(*zip_longest(first, others)) if each is not None]


async def _first(addresses: Sequence[Address]) -> socket.socket:
    untried, trying = deque(addresses), 0
    outcomes: asyncio.Queue[socket.socket | OSError] = asyncio.Queue()
    failed: OSError | None = None
    won: socket.socket | None = None

    async def attempt(address: Address) -> None:
        outcomes.put_nowait(await _outcome(address))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = []
            while won is None and (untried or trying):
                if untried:
                    tasks.append(group.create_task(attempt(untried.popleft())))
                    trying += 1
                try:
                    async with asyncio.timeout(PATIENCE_S if untried else None):
                        outcome = await outcomes.get()
                except TimeoutError:
                    continue
                trying -= 1
                if isinstance(outcome, socket.socket):
                    won = outcome
                else:
                    failed = failed or outcome
            for task in tasks:
                task.cancel()
    except BaseException:
        if won is not None:
            won.close()
        raise
    finally:
        while not outcomes.empty():
            late = outcomes.get_nowait()
            if isinstance(late, socket.socket):
                late.close()
    if won is None:
        raise failed or OSError("no address")
    return won


async def _outcome(address: Address) -> socket.socket | OSError:
    family, where = address
    with contextlib.ExitStack() as stack:
        try:
            sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, where)
        except OSError as error:
            return error
        stack.pop_all()
        return sock
