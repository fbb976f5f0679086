"""What a user hears when a result is not for the platforms that were asked for."""

from __future__ import annotations

import pytest

from croze.daemon.build.platform_check import platform_warnings
from croze.image import platform as platforms


@pytest.mark.parametrize(
    ("asked", "made", "warnings"),
    [
        ("linux/amd64", ["linux/amd64"], []),
        ("linux/amd64,linux/arm64", ["linux/arm64", "linux/amd64"], []),
        ("linux/arm64/v8", ["linux/arm64"], []),
        ("windows/amd64", ["windows(10.0.17763)/amd64"], []),
        (
            "linux/arm64",
            ["linux/amd64"],
            ['Requested platform "linux/arm64" does not match result platform "linux/amd64"'],
        ),
        (
            "linux/amd64,linux/arm64",
            ["linux/amd64", "linux/arm/v7"],
            [
                "Requested platforms linux/amd64,linux/arm64 do not match result platforms "
                "linux/amd64,linux/arm/v7"
            ],
        ),
        (
            "linux/arm64,linux/arm64/v8",
            [],
            ['Duplicate platform result requested "linux/arm64/v8"'],
        ),
    ],
)
def test_results_for_other_platforms_are_warned_of(
    asked: str, made: list[str], warnings: list[str]
) -> None:
    result = [platforms.parse(text) for text in made]
    found = platform_warnings({"platform": asked}, result, multi_platform=len(made) > 1)
    assert found == warnings


def test_an_index_was_asked_for() -> None:
    found = platform_warnings(
        {"platform": "linux/amd64,linux/arm64"},
        [platforms.parse("linux/amd64")],
        multi_platform=False,
    )
    assert found == ["Multiple platforms requested but result is not multi-platform"]


def test_nothing_asked_means_this_machine() -> None:
    here = platforms.default_platform()
    assert platform_warnings({}, [here], multi_platform=False) == []
    other = platforms.parse("linux/s390x")
    (warning,) = platform_warnings({}, [other], multi_platform=False)
    assert warning.endswith('does not match result platform "linux/s390x"')
    assert platform_warnings({}, [], multi_platform=False) == []
