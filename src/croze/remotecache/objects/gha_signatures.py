"""Signed indexes in GitHub's Actions cache (`[cache.gha]`, BuildKit `cache/remotecache/gha`).

Whoever may write to a branch's cache may put anything there. With signatures a cache counts only if
somebody signed its index whom the administrator trusts; layers are named in it by their digests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from croze.errors import CrozeError, PermissionDenied, os_message
from croze.gotypes.quote import quote
from croze.sigstore.verifier import SigstoreVerifier

_MOST_BUNDLE_BYTES = 1 << 20
_MOST_COMPLAINT_BYTES = 16 << 10
_LOG = "Tlog"


class SignatureRules(Struct, frozen=True):
    """What must be true of a signature. `fields`: of the certificate, by name; a `*` at either end
    of a value stands for anything."""

    fields: Mapping[str, str] = field(default_factory=dict)
    timestamps: int = 0
    logs: int = 0


class Signatures(Struct, frozen=True):
    """Signs indexes, and checks those of others. `command` signs: an index goes in, a bundle comes
    out. Empty for none. `apart`: signed indexes have names of their own."""

    verifier: SigstoreVerifier
    apart: bool = False
    command: Sequence[str] = ()
    required: bool = False
    rules: SignatureRules = field(default_factory=SignatureRules)

    async def sign(self, data: bytes) -> bytes:
        """The bundle that the command makes. Raises `CrozeError`."""
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self.command, stdin=pipe, stdout=pipe, stderr=pipe
            )
        except (OSError, ValueError) as error:
            why = os_message(error) if isinstance(error, OSError) else str(error)
            raise CrozeError(f"signing command failed: {why}") from None
        try:
            bundle, complaint = await _talk(process, data)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode:
            problem = complaint.decode(errors="replace").strip()
            raise CrozeError(f"signing command failed: {problem}: exit status {process.returncode}")
        return bundle

    async def check(self, digest: str, bundle: bytes) -> None:
        """Somebody whom the rules allow signed what has this digest. Raises `CrozeError`."""
        if len(bundle) > _MOST_BUNDLE_BYTES:
            raise PermissionDenied("signature verification failed: bundle is larger than 1 MB")
        fields = await self.verifier.verify_data(digest, bundle)
        logs = sum(each.kind == _LOG for each in fields.witnesses)
        _enough("timestamp", len(fields.witnesses), self.rules.timestamps)
        _enough("tlog", logs, self.rules.logs)
        for name, pattern in self.rules.fields.items():
            value = fields.signer.get(name, "")
            if pattern and not matches(pattern, value):
                raise PermissionDenied(
                    f"signature verification failed: certificate field {quote(name)} does not "
                    f"match policy ({quote(value)} != {quote(pattern)})"
                )


async def _talk(process: asyncio.subprocess.Process, data: bytes) -> tuple[bytes, bytes]:
    """Feed it, and read what it says and complains. Raises `CrozeError` if it says too much."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.TaskGroup() as group:
        group.create_task(_feed(process.stdin, data))
        output = group.create_task(_first(process.stdout, _MOST_BUNDLE_BYTES + 1))
        complaint = group.create_task(_first(process.stderr, _MOST_COMPLAINT_BYTES))
    await process.wait()
    if len(output.result()) > _MOST_BUNDLE_BYTES:
        raise CrozeError("signing command failed: its bundle is larger than 1 MB")
    return output.result(), complaint.result()


async def _feed(stream: asyncio.StreamWriter, data: bytes) -> None:
    try:
        stream.write(data)
        await stream.drain()
        stream.close()
        await stream.wait_closed()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it need not read everything


async def _first(stream: asyncio.StreamReader, most_bytes: int) -> bytes:
    """The beginning; the rest is read, and dropped."""
    output = bytearray()
    while piece := await stream.read(1 << 16):
        output += piece[: most_bytes - len(output)]
    return bytes(output)


def _enough(what: str, have: int, need: int) -> None:
    if have < need:
        raise PermissionDenied(
            f"signature verification failed: not enough {what} authorities: have {have}, "
            f"need {need}"
        )


def matches(pattern: str, value: str) -> bool:
    """A `*` at the beginning, the end or both stands for anything; elsewhere it is itself."""
    if pattern == "*":
        return True
    before, after = pattern.startswith("*"), pattern.endswith("*")
    if before and after:
        return pattern[1:-1] in value
    if before:
        return value.endswith(pattern[1:])
    return value.startswith(pattern[:-1]) if after else value == pattern
