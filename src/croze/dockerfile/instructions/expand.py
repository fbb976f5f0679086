"""Variables into instructions. Which fields take them is the language's choice, field by field."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from croze.dockerfile.instructions.mounts import parse_mount
from croze.dockerfile.instructions.values import (
    Add,
    Arg,
    ArgPair,
    Copy,
    EnvInstruction,
    Instruction,
    KeyValue,
    Label,
    Run,
    SourcesAndDest,
    StopSignal,
    User,
    Volume,
    Workdir,
)

Expander = Callable[[str], str]
"""One word in, one word out; raises `CrozeError` where the word is wrong."""


def expand(instruction: Instruction, expander: Expander) -> Instruction:
    """The instruction with its words expanded; RUN gets its mounts. EXPOSE splits words and is the
    caller's to expand."""
    match instruction:
        case EnvInstruction():
            return replace(instruction, pairs=_pairs(instruction.pairs, expander))
        case Label():
            if instruction.literal:
                return instruction
            return replace(instruction, pairs=_pairs(instruction.pairs, expander))
        case Add():
            return _expand_add(instruction, expander)
        case Copy():
            return _expand_copy(instruction, expander)
        case Run():
            mounts = tuple(parse_mount(flag, expander) for flag in instruction.mount_flags)
            return replace(instruction, mounts=mounts)
        case Arg():
            return replace(instruction, args=tuple(_arg(a, expander) for a in instruction.args))
        case Workdir():
            return replace(instruction, path=expander(instruction.path))
        case User():
            return replace(instruction, user=expander(instruction.user))
        case StopSignal():
            return replace(instruction, signal=expander(instruction.signal))
        case Volume():
            return replace(instruction, volumes=tuple(map(expander, instruction.volumes)))
    return instruction


def expand_raw(instruction: Instruction, expander: Expander) -> Instruction:
    """The heredoc bodies of COPY and ADD expanded, where their word was not quoted. The expander
    must leave quotes alone."""
    match instruction:
        case Add() | Copy():
            files = instruction.files
            contents = tuple(
                replace(c, data=expander(c.data)) if c.expand else c for c in files.contents
            )
            return replace(instruction, files=replace(files, contents=contents))
    return instruction


def _pairs(pairs: tuple[KeyValue, ...], expander: Expander) -> tuple[KeyValue, ...]:
    return tuple(replace(p, key=expander(p.key), value=expander(p.value)) for p in pairs)


def _arg(arg: ArgPair, expander: Expander) -> ArgPair:
    key = expander(arg.key)
    return replace(arg, key=key, value=None if arg.value is None else expander(arg.value))


def _expand_add(add: Add, expander: Expander) -> Add:
    chown, chmod, checksum = expander(add.chown), expander(add.chmod), expander(add.checksum)
    files = _files(add.files, expander)
    return replace(add, chown=chown, chmod=chmod, checksum=checksum, files=files)


def _expand_copy(copy: Copy, expander: Expander) -> Copy:
    chown, chmod = expander(copy.chown), expander(copy.chmod)
    return replace(copy, chown=chown, chmod=chmod, files=_files(copy.files, expander))


def _files(files: SourcesAndDest, expander: Expander) -> SourcesAndDest:
    paths = tuple(map(expander, files.paths))
    return replace(files, paths=paths, dest=expander(files.dest))
