"""How steps are called in progress output: `[linux/arm64 build 2/5] RUN make`."""

from __future__ import annotations

from collections.abc import Mapping

from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.shell import ShellLex
from croze.errors import CrozeError
from croze.image import platform as platforms
from croze.image.platform import Platform


def prefix_command(
    stage: StageState,
    text: str,
    *,
    with_platform: bool,
    platform: Platform | None,
    env: Mapping[str, str],
) -> str:
    """The name of the stage's next step. Counts it."""
    if stage.total == 0:
        return text
    parts = ""
    if with_platform and platform is not None:
        parts += platforms.format_all(platform) + _cross(platform, _target_of(env)) + " "
    if stage.name:
        parts += stage.name + " "
    stage.index += 1
    width = len(str(stage.total))
    trigger = "ONBUILD " if stage.in_trigger else ""
    return f"[{parts}{stage.index:{width}d}/{stage.total}] {trigger}{text}"


def upper_keyword(text: str) -> str:
    """An instruction's line with its keyword in upper case: `run x` is `RUN x`."""
    keyword, space, rest = text.partition(" ")
    return keyword.upper() + space + rest


def expand_name(lex: ShellLex, text: str, env: Mapping[str, str]) -> str:
    """The text with variables expanded, or as it is where that can't be done."""
    if lex.raw_quotes and "$" not in text and lex.escape not in text:
        return text  # nothing in it would change
    try:
        return lex.expand(text, env).result
    except CrozeError:
        return text


def _target_of(env: Mapping[str, str]) -> Platform | None:
    """The platform that the environment says is built for."""
    try:
        return platforms.parse(env["TARGETPLATFORM"])
    except (KeyError, CrozeError):
        pass
    keys = ("TARGETARCH", "TARGETOS", "TARGETVARIANT")
    if not any(key in env for key in keys):
        return None
    architecture, os, variant = (env.get(key, "") for key in keys)
    return Platform(architecture, os, variant=variant)


def _cross(base: Platform, target: Platform | None) -> str:
    """`->arm64` where a step on one platform makes files for another."""
    if target is None:
        return ""
    target = platforms.normalize(
        Platform(
            target.architecture or base.architecture,
            target.os or base.os,
            target.os_version,
            target.os_features,
            target.variant,
        )
    )
    if target.os != base.os:
        return f"->{platforms.format_all(target)}"
    if target.architecture != base.architecture:
        return f"->{target.architecture}" + (f"/{target.variant}" if target.variant else "")
    return ""
