"""Which system calls a container may make.

`data/seccomp.json` holds the facts of the default profile that Docker and BuildKit use: groups of
calls that are allowed (or fail with `errno`), some only `when` or `unless` an architecture, a
capability or a kernel version is there. Everything else fails with `default_errno`.

`oci_filter` gives the OCI runtime-spec form (`config-linux.md`, "Seccomp"). Translating that to
BPF costs a runtime 15 ms for every container; `compile_bpf` does it once, with the same libseccomp.

A call newer than every call in the profile fails with ENOSYS, as with runc: "not there" is what a
C library knows to get around, and "not permitted" is not. libseccomp has no rule for that, so
instructions of our own come first (seccomp(2), and `linux/filter.h`).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import cache
from importlib import resources
from typing import Any

ALLOW = 0x7FFF0000
ERRNO = 0x00050000
UNKNOWN_SYSCALL = -1
COMPARE = {"ne": 1, "lt": 2, "le": 3, "eq": 4, "ge": 5, "gt": 6, "masked_eq": 7}

_LOAD, _EQUAL, _GREATER, _AT_LEAST, _RETURN = 0x20, 0x15, 0x25, 0x35, 0x06
_NUMBER, _ARCH = 0, 4
"""Offsets in `struct seccomp_data`."""
_X32_BIT = 0x40000000
_X86_64 = 0xC000003E

Group = Mapping[str, Any]


@cache
def _profile() -> Mapping[str, Any]:
    text = resources.files("croze.runtime").joinpath("data/seccomp.json").read_text("utf-8")
    profile: Mapping[str, Any] = json.loads(text)
    return profile


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


def _applies(group: Group, arch: str, caps: frozenset[str], kernel: str) -> bool:
    when, unless = group.get("when", {}), group.get("unless", {})
    if "arch" in when and arch not in when["arch"]:
        return False
    if not caps.issuperset(when.get("caps", ())):
        return False
    if "kernel" in when and _version(kernel) < _version(when["kernel"]):
        return False
    return arch not in unless.get("arch", ()) and caps.isdisjoint(unless.get("caps", ()))


def groups(arch: str, caps: frozenset[str], kernel: str) -> Iterator[Group]:
    """The groups of the default profile that hold on a machine; `arch` is Go's name for it."""
    return (g for g in _profile()["groups"] if _applies(g, arch, caps, kernel))


def _oci_group(group: Group) -> dict[str, Any]:
    errno = group.get("errno")
    out: dict[str, Any] = {"names": list(group["names"])}
    out["action"] = "SCMP_ACT_ALLOW" if errno is None else "SCMP_ACT_ERRNO"
    if errno is not None:
        out["errnoRet"] = errno
    if "args" in group:
        out["args"] = [
            {"index": i, "value": value, "valueTwo": second, "op": "SCMP_CMP_" + op.upper()}
            for i, op, value, second in group["args"]
        ]
    return out


def oci_filter(arch: str, caps: frozenset[str], kernel: str) -> dict[str, Any]:
    """The value of `linux.seccomp`."""
    profile = _profile()
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": profile["default_errno"],
        "architectures": [
            "SCMP_ARCH_" + name.upper() for name in profile["architectures"].get(arch, ())
        ],
        "syscalls": [_oci_group(g) for g in groups(arch, caps, kernel)],
    }


class _Arg(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


@cache
def _library() -> ctypes.CDLL | None:
    try:
        lib = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        return None
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_init.argtypes = [ctypes.c_uint32]
    lib.seccomp_release.argtypes = [ctypes.c_void_p]
    lib.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    lib.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    lib.seccomp_arch_resolve_name.argtypes = [ctypes.c_char_p]
    lib.seccomp_arch_native.restype = ctypes.c_uint32
    lib.seccomp_syscall_resolve_name.argtypes = [ctypes.c_char_p]
    lib.seccomp_syscall_resolve_name_arch.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    lib.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(_Arg),
    ]
    lib.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return lib


def _add_group(lib: ctypes.CDLL, context: int, group: Group) -> None:
    errno = group.get("errno")
    action = ALLOW if errno is None else ERRNO | errno
    args: Sequence[_Arg] = [_Arg(i, COMPARE[op], a, b) for i, op, a, b in group.get("args", ())]
    array = (_Arg * max(1, len(args)))(*args)
    for name in group["names"]:
        number = lib.seccomp_syscall_resolve_name(name.encode())
        if number == UNKNOWN_SYSCALL:
            continue
        if code := lib.seccomp_rule_add_array(context, action, number, len(args), array):
            raise OSError(-code, f"seccomp rule {name}: {os.strerror(-code)}")


def _unknown(lib: ctypes.CDLL, tokens: Sequence[int], names: Set[str]) -> bytes:
    """Instructions that refuse, for each architecture, what is above the last of `names`."""
    program = b""
    for token in tokens:
        numbers = (lib.seccomp_syscall_resolve_name_arch(token, n.encode()) for n in names)
        last = max((number for number in numbers if number >= 0), default=-1)
        if last >= 0:
            program += _above(token, last)
    return program


def _above(token: int, last: int) -> bytes:
    """ENOSYS for calls above `last`. To the kernel x32 is x86_64 with a bit in the number."""
    x32 = bool(last & _X32_BIT)
    range_check = [] if token != _X86_64 and not x32 else [(_AT_LEAST, *_x32_jumps(x32), _X32_BIT)]
    check = [
        (_LOAD, 0, 0, _NUMBER),
        *range_check,
        (_GREATER, 0, 1, last),
        (_RETURN, 0, 0, ERRNO | errno.ENOSYS),
    ]
    arch = _X86_64 if x32 else token
    steps = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 0, len(check), arch), *check]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _x32_jumps(allowed: bool) -> tuple[int, int]:
    """Go on, or past the rest of the check."""
    return (0, 2) if allowed else (2, 0)


def _export(lib: ctypes.CDLL, context: int) -> bytes:
    with tempfile.TemporaryFile() as file:
        if code := lib.seccomp_export_bpf(context, file.fileno()):
            raise OSError(-code, f"seccomp export: {os.strerror(-code)}")
        file.seek(0)
        return file.read()


def compile_bpf(arch: str, caps: frozenset[str], kernel: str) -> bytes | None:
    """The default profile as a BPF program for this machine, or None without libseccomp."""
    lib = _library()
    if lib is None:
        return None
    profile = _profile()
    context = lib.seccomp_init(ERRNO | profile["default_errno"])
    try:
        others = profile["architectures"].get(arch, ())[1:]
        tokens = [lib.seccomp_arch_resolve_name(name.encode()) for name in others]
        for token in tokens:
            lib.seccomp_arch_add(context, token)
        held = list(groups(arch, caps, kernel))
        for group in held:
            _add_group(lib, context, group)
        names = {name for group in held for name in group["names"]}
        return _unknown(lib, [lib.seccomp_arch_native(), *tokens], names) + _export(lib, context)
    except OSError:
        return None
    finally:
        lib.seccomp_release(context)
