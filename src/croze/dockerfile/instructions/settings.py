"""The instructions that only set something in the image config."""

from __future__ import annotations

import re

from croze.dockerfile.instructions.flags import parse_flags
from croze.dockerfile.instructions.header import at_least_one, exactly_one, header, joined_args
from croze.dockerfile.instructions.run import command_line
from croze.dockerfile.instructions.values import (
    Arg,
    ArgPair,
    Cmd,
    Entrypoint,
    EnvInstruction,
    Expose,
    KeyValue,
    Label,
    Maintainer,
    Onbuild,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.syntax_tree import InstructionNode
from croze.gotypes.strings import SPACE
from croze.patterns import lazy_pattern

_ONBUILD = lazy_pattern(r"^[\t\n\f\r ]*ONBUILD[\t\n\f\r ]*", re.IGNORECASE | re.ASCII)


def parse_env(node: InstructionNode) -> EnvInstruction:
    parse_flags(node.flags)
    return EnvInstruction(**header(node), pairs=_pairs("ENV", node))


def parse_label(node: InstructionNode) -> Label:
    parse_flags(node.flags)
    return Label(**header(node), pairs=_pairs("LABEL", node))


def _pairs(keyword: str, node: InstructionNode) -> tuple[KeyValue, ...]:
    args = at_least_one(keyword, node.args)
    if not all(args[::3]):
        raise DockerfileError(f"{keyword} names can not be blank")
    triples = zip(args[::3], args[1::3], args[2::3], strict=True)
    return tuple(KeyValue(key, value, legacy=not separator) for key, value, separator in triples)


def parse_arg(node: InstructionNode) -> Arg:
    pairs = []
    for arg in at_least_one("ARG", node.args):
        key, equals, value = arg.partition("=")
        if equals and not key:
            raise DockerfileError("ARG names can not be blank")
        doc = doc_comment(node.comments, key)
        pairs.append(ArgPair(key, value if equals else None, doc))
    return Arg(**header(node), args=tuple(pairs))


def doc_comment(comments: tuple[str, ...], name: str) -> str:
    """The description in `# name description`."""
    if not name:
        return ""
    prefix = f"{name} "
    return next((c.removeprefix(prefix) for c in comments if c.startswith(prefix)), "")


def parse_maintainer(node: InstructionNode) -> Maintainer:
    maintainer = exactly_one("MAINTAINER", node)
    parse_flags(node.flags)
    return Maintainer(**header(node), maintainer=maintainer)


def parse_workdir(node: InstructionNode) -> Workdir:
    path = exactly_one("WORKDIR", node)
    parse_flags(node.flags)
    return Workdir(**header(node), path=path)


def parse_user(node: InstructionNode) -> User:
    user = exactly_one("USER", node)
    parse_flags(node.flags)
    return User(**header(node), user=user)


def parse_stopsignal(node: InstructionNode) -> StopSignal:
    """Flags are not looked at here, nor for ARG."""
    return StopSignal(**header(node), signal=exactly_one("STOPSIGNAL", node))


def parse_expose(node: InstructionNode) -> Expose:
    """EXPOSE, with ports still as they are written, sorted as BuildKit does."""
    ports = at_least_one("EXPOSE", node.args)
    parse_flags(node.flags)
    return Expose(**header(node), ports=tuple(sorted(ports)))


def parse_volume(node: InstructionNode) -> Volume:
    volumes = at_least_one("VOLUME", node.args)
    parse_flags(node.flags)
    paths = tuple(volume.strip(SPACE) for volume in volumes)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(**header(node), volumes=paths)


def parse_cmd(node: InstructionNode) -> Cmd:
    parse_flags(node.flags)
    return Cmd(**header(node), command=command_line(node))


def parse_entrypoint(node: InstructionNode) -> Entrypoint:
    parse_flags(node.flags)
    return Entrypoint(**header(node), command=command_line(node))


def parse_shell(node: InstructionNode) -> Shell:
    parse_flags(node.flags)
    words = at_least_one("SHELL", joined_args(node))
    if not node.json:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    return Shell(**header(node), shell=words)


def parse_onbuild(node: InstructionNode) -> Onbuild:
    """ONBUILD. Raises `DockerfileError` for a trigger that may be none: ONBUILD, FROM,
    MAINTAINER."""
    if node.trigger is None:
        raise DockerfileError("ONBUILD requires at least one argument")
    parse_flags(node.flags)
    keyword = node.trigger.name.strip(SPACE).upper()
    if keyword == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{keyword} isn't allowed as an ONBUILD trigger")
    expression = _ONBUILD.sub("", node.original)
    bodies = [f"{doc.content}{doc.name}" for doc in node.heredocs]
    return Onbuild(**header(node), expression="\n".join([expression, *bodies]))
