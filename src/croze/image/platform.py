"""Platforms: `os/arch[/variant]`, normalised as containerd does (OCI image-spec `config.md`)."""

from __future__ import annotations

import msgspec


class Platform(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """An operating system and CPU. Field names are those of the OCI JSON."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""
