"""Whether a result is for the platforms that were asked for; BuildKit's `exporter/verifier`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from croze.errors import InvalidRequest
from croze.image import platform as platforms
from croze.image.platform import Platform


def platform_warnings(
    opts: Mapping[str, str], result: Sequence[Platform], *, multi_platform: bool
) -> list[str]:
    """What to tell the user. `opts` are the frontend's; `result` holds the platforms of what it
    made, whether in an index (`multi_platform`) or not."""
    texts = opts["platform"].split(",") if "platform" in opts else []
    warnings, requested = _asked(texts)
    if warnings or not result:
        return warnings
    built = [platforms.normalize(p) for p in result]
    if len(requested) == len(built) == 1:
        return _single(texts, requested[0], built[0])
    if not multi_platform and len(requested) > 1:
        return ["Multiple platforms requested but result is not multi-platform"]
    if {platforms.format_all(p) for p in requested} == {platforms.format_all(p) for p in built}:
        return []
    return [f"Requested platforms {_list(requested)} do not match result platforms {_list(built)}"]


def _asked(texts: Sequence[str]) -> tuple[list[str], list[Platform]]:
    """Warnings about what was asked for, and what it means."""
    if not texts:
        return [], [platforms.normalize(platforms.default_platform())]
    warnings: list[str] = []
    requested: list[Platform] = []
    for text in texts:
        try:
            platform = platforms.normalize(platforms.parse(text))
        except InvalidRequest as error:
            warnings.append(f'Invalid platform result requested "{text}": {error}')
            continue
        if platform in requested:
            warnings.append(f'Duplicate platform result requested "{text}"')
        requested.append(platform)
    return warnings, requested


def _single(texts: Sequence[str], platform: Platform, built: Platform) -> list[str]:
    """One for one; who named no OS version takes any."""
    if not platform.os_version:
        built = _without_version(built)
    if platforms.format_all(platform) == platforms.format_all(built):
        return []
    text = texts[0] if texts else platforms.format(platform)
    name = platforms.format_all(built)
    return [f'Requested platform "{text}" does not match result platform "{name}"']


def _without_version(platform: Platform) -> Platform:
    return Platform(platform.architecture, platform.os, "", platform.os_features, platform.variant)


def _list(listed: Sequence[Platform]) -> str:
    return ",".join(sorted(platforms.format_all(p) for p in listed))
