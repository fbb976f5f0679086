"""RUN."""

from __future__ import annotations

from typing import TypeGuard

from croze.dockerfile.instructions.flags import parse_flags
from croze.dockerfile.instructions.header import header, joined_args
from croze.dockerfile.instructions.mounts import parse_device, parse_mount
from croze.dockerfile.instructions.values import (
    CommandForm,
    NetworkMode,
    Run,
    SecurityMode,
    ShellFile,
)
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.syntax_tree import InstructionNode
from croze.gotypes.quote import quote


def parse_run(node: InstructionNode) -> Run:
    flags = parse_flags(node.flags, values=("network", "security"), lists=("device", "mount"))
    devices = tuple(parse_device(text) for text in flags.list("device"))
    mounts = tuple(parse_mount(text, None) for text in flags.list("mount"))
    return Run(
        **header(node),
        command=command_line(node),
        mount_flags=flags.list("mount"),
        mounts=mounts,
        devices=devices,
        network=_network(flags.values.get("network", "default")),
        security=_security(flags.values.get("security", "sandbox")),
    )


def command_line(node: InstructionNode) -> CommandForm:
    """The command of RUN, CMD or ENTRYPOINT."""
    files = tuple(ShellFile(doc.name, doc.content, doc.chomp) for doc in node.heredocs)
    return CommandForm(joined_args(node), not node.json, files)


def _network(mode: str) -> NetworkMode:
    if not _is_network(mode):
        raise DockerfileError(f"invalid network mode {quote(mode)}")
    return mode


def _is_network(mode: str) -> TypeGuard[NetworkMode]:
    return mode in ("default", "none", "host")


def _security(mode: str) -> SecurityMode:
    if not _is_security(mode):
        raise DockerfileError(f"security {quote(mode)} is not valid")
    return mode


def _is_security(mode: str) -> TypeGuard[SecurityMode]:
    return mode in ("insecure", "sandbox")
