"""Networks that CNI plugins make: one namespace a container, or one that was ready.

Source: the Container Network Interface specification, SPEC.md 1.0.0, "Execution protocol".
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import shlex
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from croze.aio.threads import finish, in_thread
from croze.errors import CrozeError, Unavailable
from croze.runtime.networks.cni_config import NetworkConfig
from croze.runtime.networks.netns import (
    has_interface,
    make_namespace,
    remove_bridge,
    remove_namespace,
)
from croze.runtime.oci_spec import Namespace

log = logging.getLogger(__name__)

Json = dict[str, Any]
INTERFACE = "eth0"
DEFAULT_HOSTNAME = "buildkitsandbox"


class _Attachment(Struct, frozen=True):
    """A namespace that plugins have connected. Its note on disk says how to undo that, should we
    be killed."""

    id: str
    folder: Path
    arguments: str = ""

    @property
    def namespace(self) -> Path:
        return self.folder / f"{self.id}.netns"

    @property
    def note(self) -> Path:
        return self.folder / f"{self.id}.json"


class CniNetwork:
    """See `NetworkProvider`. `sweep` before the first use, `close` at the end.

    Up to `pool_size` namespaces are kept for the next container, as connecting one takes longer
    than starting one; not those that were made for a name.
    """

    shares_host = False

    def __init__(
        self, config: NetworkConfig, folder: Path, *, pool_size: int = 0, init_lock: str = ""
    ) -> None:
        """`init_lock`: a file that daemons on one host lock while their first network is made."""
        self._config = config
        self._folder = folder
        self._pool_size = pool_size
        self._init_lock = init_lock
        self._ready: list[_Attachment] = []
        self._first = asyncio.Lock()
        self._begun = False

    @asynccontextmanager
    async def open(self, container_id: str, hostname: str) -> AsyncIterator[Namespace]:
        named = hostname not in ("", DEFAULT_HOSTNAME)
        attachment = await finish(self._take(hostname if named else ""))
        try:
            outside = _host_end(await in_thread(_result, attachment.note))
            yield Namespace(host=False, path=str(attachment.namespace), interface=outside)
        finally:
            await finish(self._give_back(attachment))

    async def _take(self, hostname: str) -> _Attachment:
        if self._ready and not hostname:
            return self._ready.pop()
        # Well-known to the plugins that serve names; others are told to look away.
        arguments = f"IgnoreUnknown=1;K8S_POD_NAME={hostname}" if hostname else ""
        attachment = _Attachment(secrets.token_hex(8), self._folder, arguments)
        if self._begun:
            await self._attach(attachment)
            return attachment
        async with self._first:
            async with _locked(self._init_lock):
                self._note_bridges()
                await self._attach(attachment)
            self._begun = True
        return attachment

    def _note_bridges(self) -> None:
        """Which bridges are ours to remove: those that weren't there."""
        for plugin in self._config.plugins:
            name = str(plugin.get("bridge", ""))
            if name and not has_interface(name):
                (self._folder / f"{name}.bridge").touch()

    async def _attach(self, attachment: _Attachment) -> None:
        await in_thread(make_namespace, attachment.namespace)
        attachment.note.write_text(json.dumps({"arguments": attachment.arguments}))
        previous: Json | None = None
        try:
            for plugin in self._config.plugins:
                previous = await self._call("ADD", plugin, attachment, previous)
            note = {"arguments": attachment.arguments, "result": previous}
            attachment.note.write_text(json.dumps(note))
        except CrozeError as error:
            await self._detach(attachment)
            raise error.wrap("CNI setup error") from None

    async def _give_back(self, attachment: _Attachment) -> None:
        if len(self._ready) < self._pool_size and not attachment.arguments:
            self._ready.append(attachment)
        else:
            await self._detach(attachment)

    async def _detach(self, attachment: _Attachment) -> None:
        """Undo what plugins did, the last one's first. Goes on when one fails."""
        previous = _result(attachment.note)
        for plugin in reversed(self._config.plugins):
            try:
                await self._call("DEL", plugin, attachment, previous)
            except CrozeError as error:
                log.warning("network %s: %s", attachment.id, error)
        await in_thread(remove_namespace, attachment.namespace)
        attachment.note.unlink(missing_ok=True)

    async def _call(
        self, command: str, plugin: Json, attachment: _Attachment, previous: Json | None
    ) -> Json | None:
        """Run a plugin; its result. Raises `CrozeError` with what it says."""
        program = self._config.executable(plugin)
        namespace = attachment.namespace
        environ = {
            **os.environ,
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": attachment.id,
            "CNI_NETNS": str(namespace) if namespace.exists() else "",
            "CNI_IFNAME": "lo" if program.endswith("loopback") else INTERFACE,
            "CNI_ARGS": attachment.arguments,
            "CNI_PATH": ":".join(self._config.folders),
        }
        process = await asyncio.create_subprocess_exec(
            program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environ,
        )
        request = json.dumps(self._config.for_plugin(plugin, previous)).encode()
        output, complaint = await process.communicate(request)
        if process.returncode != 0:
            raise Unavailable(
                f'plugin type="{plugin["type"]}" failed ({command.lower()}): '
                f"{_reason(output, complaint)}"
            )
        return json.loads(output) if output.strip() else previous

    async def sweep(self) -> None:
        """Disconnect what a killed daemon has left connected."""
        for note in sorted(self._folder.glob("*.json")):
            attachment = _Attachment(note.stem, self._folder, _arguments(note))
            # The namespace went with the daemon; the file that it was mounted on is nothing.
            await in_thread(remove_namespace, attachment.namespace)
            await self._detach(attachment)
            await in_thread(_forget_masquerade, attachment.id)

    async def close(self) -> None:
        """Disconnect what is kept, and remove the bridge if it is ours."""
        while self._ready:
            await self._detach(self._ready.pop())
        for mark in self._folder.glob("*.bridge"):
            with contextlib.suppress(OSError):
                await in_thread(remove_bridge, mark.stem)
            mark.unlink()


def _forget_masquerade(id: str) -> None:
    """Remove the address translation of a container whose namespace is gone: the bridge plugin
    looks for the addresses there. Its rules carry the id in a comment."""
    iptables = shutil.which("iptables")
    if iptables is None:
        return
    nat = [iptables, "-w", "-t", "nat"]
    listed = subprocess.run(
        [*nat, "-S", "POSTROUTING"], capture_output=True, text=True, check=False
    )
    for line in listed.stdout.splitlines():
        if id in line:
            _, *rule = shlex.split(line)
            chain = rule[rule.index("-j") + 1]
            for command in (["-D", *rule], ["-F", chain], ["-X", chain]):
                subprocess.run([*nat, *command], capture_output=True, check=False)


def _reason(output: bytes, complaint: bytes) -> str:
    try:
        answer = json.loads(output)
        details = f"; {answer['details']}" if answer.get("details") else ""
        return f"{answer['msg']}{details}"
    except (ValueError, KeyError, TypeError):
        return (complaint or output).decode("utf-8", "replace").strip() or "no reason given"


def _note(path: Path) -> Json:
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}  # killed while it was written
    return read if isinstance(read, dict) else {}


def _result(note: Path) -> Json | None:
    result = _note(note).get("result")
    return result if isinstance(result, dict) else None


def _host_end(result: Json | None) -> str:
    """The one interface of the host's that plugins say leads inside."""
    listed = result.get("interfaces") if result is not None else None
    names = [
        str(each.get("name", ""))
        for each in (listed if isinstance(listed, list) else ())
        if isinstance(each, dict)
    ]
    pairs = [name for name in names if name.startswith("veth")]
    return pairs[0] if len(pairs) == 1 else ""


def _arguments(note: Path) -> str:
    return str(_note(note).get("arguments", ""))


@asynccontextmanager
async def _locked(path: str) -> AsyncIterator[None]:
    """Hold a lock that other processes also take; nothing without a path."""
    if not path:
        yield
        return
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        await in_thread(fcntl.flock, fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
