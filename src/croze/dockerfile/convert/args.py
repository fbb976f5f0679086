"""Build arguments: the platform ones, those before the first FROM, and proxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from croze.dockerfile.convert.outline import ArgInfo
from croze.dockerfile.instructions import Arg
from croze.dockerfile.location import with_location
from croze.dockerfile.shell import ShellLex
from croze.errors import CrozeError
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.llb.env import Env
from croze.llb.execop import ProxyEnv

NON_ENV_ARGS: Final = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments that never become environment variables of a RUN."""


class BuildPlatforms(Struct, frozen=True):
    """Where the build runs and what it is for. `implicit`: nobody asked for a target platform, so
    a base image may decide."""

    target: Platform
    build: Sequence[Platform]
    implicit: bool


def choose_platforms(target: Platform | None, build: Sequence[Platform]) -> BuildPlatforms:
    """Fill in what was not said."""
    if not build:
        build = [target if target is not None else platforms.default_platform()]
    return BuildPlatforms(target if target is not None else build[0], build, target is None)


def platform_args(offered: BuildPlatforms, overrides: Mapping[str, str], stage: str) -> Env:
    """`BUILDPLATFORM`, `TARGETARCH` and the like, and `TARGETSTAGE`."""
    build, target = offered.build[0], offered.target
    values = {
        "BUILDPLATFORM": platforms.format(build),
        "BUILDOS": build.os,
        "BUILDOSVERSION": build.os_version,
        "BUILDARCH": build.architecture,
        "BUILDVARIANT": build.variant,
        "TARGETPLATFORM": platforms.format_all(target),
        "TARGETOS": target.os,
        "TARGETOSVERSION": target.os_version,
        "TARGETARCH": target.architecture,
        "TARGETVARIANT": target.variant,
        "TARGETSTAGE": stage or "default",
    }
    return Env({key: overrides.get(key, value) for key, value in values.items()})


def meta_args(
    env: Env, lex: ShellLex, commands: Sequence[Arg], build_args: Mapping[str, str]
) -> tuple[Env, dict[str, ArgInfo]]:
    """The arguments declared before the first FROM, with values that were given or defaults."""
    infos: dict[str, ArgInfo] = {}
    for command in commands:
        for pair in command.args:
            info = ArgInfo(pair, location=command.location)
            value = build_args.get(pair.key)
            if value is None and pair.value is not None:
                try:
                    expansion = lex.expand(pair.value, env)
                except CrozeError as err:
                    raise with_location(err, command.location) from None
                value = expansion.result
                info = replace(info, deps=_dependencies(pair.key, expansion.matched, infos))
            if value is not None:
                env = env.set(pair.key, value)
                info = replace(info, value=value, definition=replace(pair, value=value))
            infos[pair.key] = info
    return env, infos


def _dependencies(
    key: str, matched: frozenset[str], infos: Mapping[str, ArgInfo]
) -> frozenset[str]:
    """What an argument's default needs; one that extends itself needs what it needed before."""
    if key not in matched:
        return matched
    before = infos[key].deps if key in infos else frozenset[str]()
    return (matched - {key}) | before


def proxy_env(args: Mapping[str, str]) -> ProxyEnv | None:
    """Proxy settings among the build arguments, in any case; later names win."""
    names = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
    proxies = {key.lower(): args[key] for key in sorted(args) if key.lower() in names}
    return ProxyEnv(**proxies) if proxies else None
