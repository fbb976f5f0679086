"""What a state carries along beside its files: how a process would be run in it."""

from __future__ import annotations

import posixpath
from typing import Literal

import msgspec
from msgspec import Struct

from croze.image.platform import Platform
from croze.llb.env import Env

NetworkMode = Literal["sandbox", "host", "none"]
SecurityMode = Literal["sandbox", "insecure"]


class Ulimit(Struct, frozen=True):
    """A process limit, such as `nofile`; -1 is unlimited."""

    name: str
    soft: int
    hard: int


_NO_ENV = Env()


class Meta(msgspec.Struct, frozen=True):
    """Defaults for the processes run on a state. `dir` empty means that none is set."""

    env: Env = _NO_ENV
    dir: str = ""
    user: str = ""
    hostname: str = ""
    cgroup_parent: str = ""
    network: NetworkMode = "sandbox"
    security: SecurityMode = "sandbox"
    extra_hosts: tuple[tuple[str, str], ...] = ()
    """(host name, IP address)"""
    ulimits: tuple[Ulimit, ...] = ()
    platform: Platform | None = None


def join_dir(parent: str, path: str) -> str:
    """The path seen from the directory `parent`."""
    if path.startswith("/"):
        return path
    return clean_path(f"{parent or '/'}/{path}")


def clean_path(path: str) -> str:
    """The shortest text for the same path, without looking at any filesystem; `.` for nothing.

    As `posixpath.normpath`, but two leading slashes mean nothing special.
    """
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def join_path(*parts: str) -> str:
    """The parts joined by slashes and cleaned; an absolute part does not start again. Empty if all
    parts are."""
    joined = "/".join(part for part in parts if part)
    return clean_path(joined) if joined else ""
