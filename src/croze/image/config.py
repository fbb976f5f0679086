"""Image configs: the OCI config plus Docker's extras, and chain IDs.

Sources: OCI image-spec `config.md`; Docker image-spec v1.3 (`Healthcheck`, `OnBuild`, `Shell`).
Times stay RFC 3339 text, since Go's have nanoseconds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec

from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.image.platform import Platform
from croze.patterns import lazy_pattern

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""`PATH` of an image that sets none, except on Windows."""


class Healthcheck(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """How to check that a container is healthy. Durations in nanoseconds, 0 to inherit."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


class RunConfig(msgspec.Struct, frozen=True, omit_defaults=True, rename="pascal"):
    """The member `config` of an image config: how a container of the image runs. Empty values are
    left out of the JSON."""

    user: str = ""
    exposed_ports: dict[str, dict[str, str]] = {}
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: dict[str, dict[str, str]] = {}
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] = ()


class RootFS(msgspec.Struct, frozen=True):
    """The member `rootfs`; its type is `layers`."""

    type: str = ""
    diff_ids: tuple[str, ...] | None = None
    """Digests of the layers' tars, base first. None is JSON null, as Go writes no layers."""


class HistoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row of the history; one with `empty_layer` has made none of the layers."""

    created: str | None = None
    """RFC 3339."""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, omit_defaults=True):
    """A whole image config, in the field order of BuildKit's JSON. Unknown fields are dropped."""

    architecture: str
    os: str
    created: str | None = None
    author: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    variant: str = ""
    config: RunConfig = RunConfig()
    rootfs: RootFS = RootFS()
    history: tuple[HistoryEntry, ...] = ()

    @property
    def platform(self) -> Platform:
        return Platform(self.architecture, self.os, self.os_version, self.os_features, self.variant)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Digests of the layers' tars, base first."""
        return self.rootfs.diff_ids or ()


class _Wire(msgspec.Struct, frozen=True, omit_defaults=True):
    """`ImageConfig` with the JSON's names, order and always-written members."""

    created: str | msgspec.UnsetType = msgspec.UNSET
    author: str = ""
    architecture: str | msgspec.UnsetType = msgspec.UNSET
    os: str | msgspec.UnsetType = msgspec.UNSET
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""
    rootfs: RootFS | msgspec.UnsetType = msgspec.UNSET
    history: tuple[HistoryEntry, ...] = ()
    config: RunConfig | msgspec.UnsetType = msgspec.UNSET


def parse(data: bytes) -> ImageConfig:
    """Read an image config. Missing and null members get their defaults."""
    try:
        wire = msgspec.convert(gojson.unmarshal_bounded(data), _Wire)
    except (msgspec.MsgspecError, RecursionError) as err:
        raise InvalidRequest(f"invalid image config: {err}") from err
    return ImageConfig(
        architecture=wire.architecture or "",
        os=wire.os or "",
        created=normalize_time(wire.created) if wire.created else None,
        author=wire.author,
        os_version=wire.os_version,
        os_features=wire.os_features,
        variant=wire.variant,
        config=wire.config or RunConfig(),
        rootfs=wire.rootfs or RootFS(),
        history=wire.history,
    )


def marshal(config: ImageConfig) -> bytes:
    """The config's JSON, byte for byte as BuildKit's frontend writes it."""
    return gojson.marshal(
        _Wire(
            created=config.created or msgspec.UNSET,
            author=config.author,
            architecture=config.architecture,
            os=config.os,
            os_version=config.os_version,
            os_features=config.os_features,
            variant=config.variant,
            config=config.config,
            rootfs=config.rootfs,
            history=config.history,
        )
    )


def empty(platform: Platform) -> ImageConfig:
    """The config of an image that starts from nothing."""
    env = () if platform.os == "windows" else (f"PATH={DEFAULT_PATH}",)
    return ImageConfig(
        architecture=platform.architecture,
        os=platform.os,
        os_version=platform.os_version,
        os_features=platform.os_features,
        variant=platform.variant,
        config=RunConfig(env=env, working_dir="/"),
        rootfs=RootFS(type="layers"),
    )


def chain_id(diff_ids: Sequence[str]) -> str:
    """The OCI chain ID: names a stack of layers by their contents. Empty for no layers."""
    chain = ""
    for diff_id in diff_ids:
        chain = digest_of(f"{chain} {diff_id}".encode()) if chain else diff_id
    return chain


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The chain ID of every prefix of the stack, one layer first."""
    chains: list[str] = []
    for diff_id in diff_ids:
        chains.append(chain_id([chains[-1], diff_id]) if chains else diff_id)
    return chains


_FRACTION = lazy_pattern(r"\.(\d+)")


def normalize_time(text: str) -> str:
    """RFC 3339 as Go writes it: no trailing zeros in the fraction, `Z` for UTC."""
    text = _FRACTION.sub(lambda m: "." + m[1].rstrip("0"), text, count=1).replace(".Z", "Z")
    text = re.sub(r"\.(?=[+-])", "", text)
    return re.sub(r"[+-]00:00\Z", "Z", text)


def parse_time(text: str) -> datetime:
    """Read RFC 3339; what is below a microsecond is cut off."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as err:
        raise InvalidRequest(f"invalid time {text!r}") from err


def seconds_of(text: str | None) -> int:
    """A time in seconds since 1970; 0 for none, and for what is no time."""
    try:
        return int(parse_time(text).timestamp()) if text else 0
    except (InvalidRequest, ValueError, OverflowError):
        return 0
