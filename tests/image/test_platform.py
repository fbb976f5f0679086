from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.image import platform as platforms
from croze.image.platform import Platform


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64/v1", "linux/amd64"),
        ("linux/amd64/v3", "linux/amd64/v3"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v9.0", "linux/arm64/v9"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"),
        ("Linux/ARM/6", "linux/arm/v6"),
        ("macos/arm64", "darwin/arm64"),
        ("arm64", "linux/arm64"),
        ("riscv64", "linux/riscv64"),
        ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
        ("windows(10.0.17763+win32k)/amd64", "windows(10.0.17763+win32k)/amd64"),
        ("windows(1%2B2)/amd64", "windows(1%2B2)/amd64"),
        ("solaris/sparc", "solaris/sparc"),
    ],
)
def test_parse_and_normalize(text: str, normal: str) -> None:
    assert platforms.format_all(platforms.normalize(platforms.parse(text))) == normal


def test_parse_keeps_v8_and_normalize_drops_it() -> None:
    assert platforms.parse("linux/arm64/v8").variant == "v8"
    assert platforms.parse("linux/arm64").variant == ""
    assert platforms.parse("linux/arm/v7").variant == "v7"
    assert platforms.parse("linux/arm").variant == ""


def test_a_lone_os_gets_this_machines_architecture() -> None:
    assert platforms.parse("linux") == platforms.default_platform()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linux/*", '"linux/*": wildcards not yet supported: invalid argument'),
        ("nosuch", '"nosuch": unknown operating system or architecture: invalid argument'),
        ("a/b/c/d", '"a/b/c/d": cannot parse platform specifier: invalid argument'),
        (
            "linux/a$b",
            '"a$b" is an invalid component of "linux/a$b": platform specifier component must '
            'match "^[A-Za-z0-9_.-]+$": invalid argument',
        ),
    ],
)
def test_bad_platforms(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        platforms.parse(text)
    assert str(caught.value) == message


def match(wanted: str, offered: str) -> bool:
    return platforms.only(platforms.parse(wanted)).match(platforms.parse(offered))


def test_which_platform_runs_on_which() -> None:
    assert match("linux/amd64", "linux/386")
    assert match("linux/amd64/v3", "linux/amd64/v2")
    assert match("linux/amd64/v3", "linux/amd64")
    assert not match("linux/amd64", "linux/amd64/v2")
    assert match("linux/arm64", "linux/arm/v7")
    assert match("linux/arm64/v9.1", "linux/arm64/v8.6")
    assert not match("linux/arm64/v8.6", "linux/arm64/v9")
    assert match("linux/arm/v7", "linux/arm/v5")
    assert not match("linux/arm/v6", "linux/arm/v7")
    assert not match("linux/amd64", "windows/amd64")
    assert match("windows(10.0.17763.1)/amd64", "windows(10.0.17763.9)/amd64")
    assert not match("windows(10.0.17763)/amd64", "windows(10.0.20348)/amd64")


def test_strict_does_not_go_down() -> None:
    strict = platforms.only_strict(platforms.parse("linux/amd64"))
    assert strict.match(Platform("x86_64", "linux"))
    assert not strict.match(Platform("386", "linux"))


def test_the_best_match_ranks_first() -> None:
    matcher = platforms.only(platforms.parse("linux/arm64"))
    offered = [platforms.parse(p) for p in ("linux/arm/v5", "linux/arm64", "linux/arm/v7")]
    best = sorted(offered, key=matcher.rank)
    assert [platforms.format(p) for p in best] == ["linux/arm64", "linux/arm/v7", "linux/arm/v5"]


def test_features_must_be_a_subset() -> None:
    matcher = platforms.only(Platform("amd64", "linux", os_features=("a", "b")))
    assert matcher.match(Platform("amd64", "linux", os_features=("b",)))
    assert not matcher.match(Platform("amd64", "linux", os_features=("c",)))
