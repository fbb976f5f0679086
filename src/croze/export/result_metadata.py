"""What a result's metadata says of its platforms and image configs.

An exporter's attributes that it does not know are metadata too, and go before the frontend's: this
is how a raw LLB build gets an image config. Source: BuildKit `exporter/containerimage/exptypes`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.export.contract import ExportSource, PlatformResult
from croze.export.patch import checked
from croze.gotypes import gojson
from croze.image import config as configs
from croze.image import platform as platforms
from croze.image.platform import Platform

PLATFORMS_KEY = "refs.platforms"
CONFIG_KEY = "containerimage.config"


class _PlatformEntry(msgspec.Struct):
    id: str = msgspec.field(default="", name="ID")
    platform: Platform = msgspec.field(default=Platform("", ""), name="Platform")


class _Platforms(msgspec.Struct):
    platforms: list[_PlatformEntry] | None = msgspec.field(default=None, name="Platforms")


def described(source: ExportSource, attrs: Mapping[str, str]) -> ExportSource:
    """The result with what the exporter's attributes say of it. Raises `InvalidRequest`."""
    if not attrs:
        return source
    extra = {key: text.encode() for key, text in attrs.items()}
    metadata = {**source.metadata, **extra}
    results = [_described(each, metadata, extra) for each in source.results]
    return replace(source, results=results, metadata=metadata)


def _described(
    result: PlatformResult, metadata: Mapping[str, bytes], extra: Mapping[str, bytes]
) -> PlatformResult:
    id, platform = result.key, result.platform
    if not id:
        entries = platform_entries(metadata)
        if entries is not None and len(entries) == 1:
            id, platform = next(iter(entries.items()))
        elif CONFIG_KEY in extra:
            platform = config_platform(metadata)
        id = id or platforms.format_all(platform)
    return replace(result, platform=platform, config=value_for_platform(metadata, CONFIG_KEY, id))


def config_platform(metadata: Mapping[str, bytes]) -> Platform:
    """The platform that the image config says, or else this machine's."""
    config = metadata.get(CONFIG_KEY, b"").strip()
    image = configs.parse(config) if config not in (b"", b"null") else None
    if image is None or not (image.os or image.architecture):
        return platforms.normalize(platforms.default_platform())
    return platforms.normalize(checked(config).platform)


def platform_entries(metadata: Mapping[str, bytes]) -> dict[str, Platform] | None:
    """The ids of a result's refs and what platforms they are for."""
    raw = metadata.get(PLATFORMS_KEY)
    if not raw:
        return None
    try:
        parsed = gojson.unmarshal(raw, type=_Platforms | None)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"failed to parse platforms passed to exporter: {error}") from error
    if parsed is None or not parsed.platforms:
        raise InvalidRequest("invalid empty platforms index for exporter")
    for entry in parsed.platforms:
        if not entry.id:
            raise InvalidRequest("invalid empty platform key for exporter")
        if not entry.platform.os or not entry.platform.architecture:
            raise InvalidRequest(f"invalid platform value {entry.platform} for exporter")
    return {entry.id: platforms.normalize(entry.platform) for entry in parsed.platforms}


def value_for_platform(metadata: Mapping[str, bytes], key: str, id: str) -> bytes:
    """A value given for one platform, or else for all."""
    return metadata.get(f"{key}/{id}") or metadata.get(key) or b""
