"""Platforms: `os[(version)]/arch[/variant]`, normalised as containerd does.

Sources: OCI image-spec `config.md`; containerd's `platforms` module for the texts, the aliases and
which platform runs on which.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes.quote import quote
from croze.patterns import lazy_pattern


class Platform(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """An operating system and CPU. Field names are those of the OCI JSON."""

    architecture: str
    os: str
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")
    variant: str = ""


_COMPONENT = lazy_pattern(r"^[A-Za-z0-9_.-]+\Z")
_OS_TEXT = r"^([A-Za-z0-9_-]+)(?:\(([A-Za-z0-9_.%-]*)((?:\+[A-Za-z0-9_.%-]+)*)\))?$"
_OS = lazy_pattern(_OS_TEXT.removesuffix("$") + r"\Z")
_OS_NAMES = """aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd
plan9 solaris windows zos"""
_ARCH_NAMES = """386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64
mips64le mips64p32 mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm"""
_KNOWN_OS = frozenset(_OS_NAMES.split())
_KNOWN_ARCH = frozenset(_ARCH_NAMES.split())
_ARM64_VARIANTS = {"8": "", "v8": "", "v8.0": "", "9": "v9", "9.0": "v9", "v9.0": "v9"}
_ARM_VARIANTS = {"": "v7", "7": "v7", "5": "v5", "6": "v6", "8": "v8"}
_HOST_ARCH = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i386": ("386", ""),
    "i686": ("386", ""),
    "loongarch64": ("loong64", ""),
}


def default_platform() -> Platform:
    """The platform of this machine, normalised."""
    machine = os.uname().machine.lower()
    architecture, variant = _HOST_ARCH.get(machine, (machine, ""))
    return Platform(architecture=architecture, os="linux", variant=variant)


def _normalize_os(name: str) -> str:
    name = name.lower()
    return {"": "linux", "macos": "darwin"}.get(name, name)


def _normalize_arch(arch: str, variant: str) -> tuple[str, str]:
    arch, variant = arch.lower(), variant.lower()
    match arch:
        case "i386":
            return "386", ""
        case "x86_64" | "x86-64" | "amd64":
            return "amd64", "" if variant == "v1" else variant
        case "aarch64" | "arm64":
            return "arm64", _ARM64_VARIANTS.get(variant, variant)
        case "armhf":
            return "arm", "v7"
        case "armel":
            return "arm", "v6"
        case "arm":
            return "arm", _ARM_VARIANTS.get(variant, variant)
    return arch, variant


def normalize(platform: Platform) -> Platform:
    """The canonical form: aliases replaced, `arm64/v8` without variant, `arm` with one."""
    arch, variant = _normalize_arch(platform.architecture, platform.variant)
    return Platform(
        architecture=arch,
        os=_normalize_os(platform.os),
        os_version=platform.os_version,
        os_features=tuple(sorted({feature for feature in platform.os_features if feature})),
        variant=variant,
    )


def parse(text: str) -> Platform:
    """Read `os`, `arch`, `os/arch` or `os/arch/variant`; what is missing is this machine's.

    The result is as containerd's `Parse` gives it: `linux/arm64/v8` keeps `v8` until normalised.
    """
    if "*" in text:
        raise InvalidRequest(f"{quote(text)}: wildcards not yet supported: invalid argument")
    parts = text.split("/", 3)
    os_name, version, features = _parse_os(parts[0], text)
    for part in parts[1:]:
        if not _COMPONENT.match(part):
            raise InvalidRequest(
                f"{quote(part)} is an invalid component of {quote(text)}: platform specifier "
                'component must match "^[A-Za-z0-9_.-]+$": invalid argument'
            )
    os_name, arch, variant = _complete(parts, os_name, text)
    return Platform(arch, os_name, version, features, variant)


def _complete(parts: list[str], os_name: str, text: str) -> tuple[str, str, str]:
    """Operating system, architecture and variant from one to three components."""
    if len(parts) == 1:
        if os_name in _KNOWN_OS:
            here = default_platform()
            plain = here.architecture == "arm" and here.variant == "v7"
            return os_name, here.architecture, "" if plain else here.variant
        arch, variant = _plain_arm(*_normalize_arch(parts[0], ""))
        if arch in _KNOWN_ARCH:
            return "linux", arch, variant
        raise InvalidRequest(
            f"{quote(text)}: unknown operating system or architecture: invalid argument"
        )
    if len(parts) == 2:
        return os_name, *_plain_arm(*_normalize_arch(parts[1], ""))
    if len(parts) == 3:
        arch, variant = _normalize_arch(parts[1], parts[2])
        return os_name, arch, "v8" if arch == "arm64" and not variant else variant
    raise InvalidRequest(f"{quote(text)}: cannot parse platform specifier: invalid argument")


def _plain_arm(arch: str, variant: str) -> tuple[str, str]:
    return (arch, "") if (arch, variant) == ("arm", "v7") else (arch, variant)


def _parse_os(part: str, text: str) -> tuple[str, str, tuple[str, ...]]:
    match = _OS.match(part)
    if match is None:
        raise InvalidRequest(
            f"{quote(part)} is an invalid OS component of {quote(text)}: OSAndVersion specifier "
            f"component must match {quote(_OS_TEXT)}: invalid argument"
        )
    from urllib.parse import unquote

    features = (unquote(feature) for feature in (match[3] or "").split("+"))
    return _normalize_os(match[1]), unquote(match[2] or ""), tuple(f for f in features if f)


def format(platform: Platform) -> str:
    """`os/arch[/variant]`, `unknown` without an operating system."""
    if not platform.os:
        return "unknown"
    return _join(platform.os, platform)


def format_all(platform: Platform) -> str:
    """Like `format`, with version and features: `windows(10.0.17763+win32k)/amd64`."""
    if not platform.os:
        return "unknown"
    features = sorted({feature for feature in platform.os_features if feature})
    options = "+".join([_encode(platform.os_version), *map(_encode, features)])
    return _join(f"{platform.os}({options})" if options else platform.os, platform)


def _join(os_name: str, platform: Platform) -> str:
    parts = (os_name, platform.architecture, platform.variant)
    return posixpath.normpath("/".join(filter(None, parts)))


def _encode(text: str) -> str:
    for char in "%+()/":
        text = text.replace(char, f"%{ord(char):02X}")
    return text


class Matcher:
    """Says which platforms will do, the best first."""

    def __init__(self, targets: Iterable[Platform]) -> None:
        self._tests = [_exact(normalize(platform)) for platform in targets]

    def match(self, platform: Platform) -> bool:
        return self.rank(platform) < len(self._tests)

    def rank(self, platform: Platform) -> int:
        """0 for the best; the number of alternatives for no match."""
        offered = normalize(platform)
        return next((i for i, test in enumerate(self._tests) if test(offered)), len(self._tests))


def _exact(target: Platform) -> Callable[[Platform], bool]:
    features = set(target.os_features)
    if target.os == "windows":
        features.add("win32k")

    def test(offered: Platform) -> bool:
        return (
            target.os == offered.os
            and target.architecture == offered.architecture
            and target.variant == offered.variant
            and features.issuperset(offered.os_features)
            and (target.os != "windows" or _windows_fits(target.os_version, offered.os_version))
        )

    return test


def _windows_fits(version: str, offered: str) -> bool:
    """Same build of Windows, or no version to compare."""
    if not version or not offered:
        return True
    return version.split(".")[:3] == offered.split(".")[:3]


def only(platform: Platform) -> Matcher:
    """Matches the platform and those that run on it (`arm/v6` on `arm/v7`, `386` on `amd64`)."""
    return Matcher(_compatible(normalize(platform)))


def only_strict(platform: Platform) -> Matcher:
    """Matches the platform alone, in any spelling."""
    return Matcher([platform])


def _compatible(platform: Platform) -> Iterator[Platform]:
    match platform.architecture:
        case "amd64":
            yield platform
            for version in range(_version(platform.variant) - 1, 0, -1):
                yield _with(platform, "amd64", f"v{version}")
            yield _with(platform, "386", "")
        case "arm":
            yield platform
            for version in range(_version(platform.variant) - 1, 4, -1):
                yield _with(platform, "arm", f"v{version}")
        case "arm64":
            yield from _compatible_arm64(platform)
        case _:
            yield platform


def _compatible_arm64(platform: Platform) -> Iterator[Platform]:
    """`v9.x` runs `v8.(x+5)`; every one runs 32 bit `arm/v8` and below."""
    match = re.match(r"v([89])(?:\.([0-9]))?\Z", platform.variant or "v8")
    if match is None:
        return
    major, minor = int(match[1]), int(match[2] or 0)
    levels = [(8, minor)] if major == 8 else [(9, minor), (8, min(minor + 5, 9))]
    for major, top in levels:
        for level in range(top, -1, -1):
            yield _with(platform, "arm64", f"v{major}.{level}" if level else f"v{major}")
    yield from _compatible(_with(platform, "arm", "v8"))


def _version(variant: str) -> int:
    text = variant.removeprefix("v")
    return int(text) if text.isdigit() else 0


def _with(platform: Platform, arch: str, variant: str) -> Platform:
    return msgspec.structs.replace(platform, architecture=arch, variant=variant)
