"""Signed indexes of a GitHub cache (`[cache.gha]` of buildkitd.toml): who writes one signs it with
a program of the administrator's, who reads one may ask for a signature of somebody in particular.

What the program prints is a Sigstore bundle. It is verified before it is stored, too: a cache that
nobody will accept is better not written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from croze.errors import CrozeError, PermissionDenied, Unavailable, os_message


class Verifier(Protocol):
    """Says whether a signature is good."""

    async def verify(self, data: bytes, bundle: bytes) -> None:
        """Raises `PermissionDenied` if this is not a signature of `data`, or not by whom the
        policy wants."""


@dataclass(frozen=True)
class Signing:
    """`command`: the program with its arguments; None where nothing is said of signing. `required`:
    whether indexes without a signature are refused."""

    command: Sequence[str] | None = None
    required: bool = False
    verifier: Verifier | None = None

    @property
    def apart(self) -> bool:
        """Whether signed indexes are kept apart from others."""
        return self.command is not None or self.required

    @property
    def signs(self) -> bool:
        return bool(self.command)

    async def sign(self, data: bytes) -> bytes:
        """A signature of the data, which is good."""
        try:
            process = await asyncio.create_subprocess_exec(
                *(self.command or ()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as err:
            raise Unavailable(f"signing command failed: {os_message(err)}") from None
        try:
            bundle, told = await process.communicate(data)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await asyncio.shield(process.wait())
            raise
        if process.returncode:
            raise CrozeError(f"signing command failed: {told.decode(errors='replace').strip()}")
        await self.verify(data, bundle)
        return bundle

    async def verify(self, data: bytes, bundle: bytes) -> None:
        """See `Verifier`."""
        if self.verifier is None:
            raise PermissionDenied("no verifier available for signed github actions cache")
        await self.verifier.verify(data, bundle)
