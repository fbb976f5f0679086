"""Platforms as `ls` shortens them: recorded from buildx's own table of cases."""

from __future__ import annotations

import pytest

from croze.builders.model import format_in_groups, parse_platforms
from croze.builders.platforms import shortened

ARM64_FIRST = (
    "linux/arm64*,linux/amd64,linux/amd64/v2,linux/riscv64,linux/ppc64le,linux/s390x,linux/386,"
    "linux/mips64le,linux/mips64,linux/arm/v7,linux/arm/v6"
)
ALL_FIXED = "darwin/arm64*,linux/arm64*,linux/arm/v5*,linux/arm/v6*,linux/arm/v7*,windows/arm64*"


@pytest.mark.parametrize(
    ("listed", "shown"),
    [
        (ARM64_FIRST, "linux/amd64 (+2), linux/arm64*, linux/arm (+2), linux/ppc64le, (5 more)"),
        ("linux/riscv64*", "linux/riscv64*"),
        ("linux/amd64,linux/386", "linux/amd64, linux/386"),
        ("linux/arm64,linux/arm/v7,linux/arm/v6", "linux/arm64, linux/arm (+2)"),
        (ALL_FIXED, "linux/arm64*, linux/arm* (+3), darwin/arm64*, windows/arm64*"),
        ("", ""),
    ],
)
def test_many_platforms_are_shortened_as_buildx_does(listed: str, shown: str) -> None:
    assert shortened(listed.split(",") if listed else [], 4) == shown


def test_fixed_platforms_come_first_and_once() -> None:
    fixed = parse_platforms(("linux/arm64",))
    detected = parse_platforms(("linux/amd64,linux/arm64,linux/amd64",))
    assert format_in_groups(fixed, detected) == ["linux/arm64*", "linux/amd64"]
