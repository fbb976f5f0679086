"""Which node builds what: buildx's choice, and the idlest of equals."""

from __future__ import annotations

import pytest

from croze.builders.multinode import NodeShare, by_all, by_fixed, parse_choice
from croze.errors import InvalidRequest
from croze.image import platform as platforms
from croze.image.platform import Platform


def _parsed(text: str) -> tuple[Platform, ...]:
    return tuple(platforms.normalize(platforms.parse(word)) for word in text.split())


def _shown(shares: list[NodeShare]) -> str:
    return " ".join(
        f"{share.node}:" + ",".join(platforms.format(each) for each in share.platforms)
        for share in shares
    )


@pytest.mark.parametrize(
    ("nodes", "wanted", "shares"),
    [
        (["amd64", "riscv64"], "amd64", "0:linux/amd64"),
        (["amd64", "riscv64"], "riscv64", "1:linux/riscv64"),
        (["amd64", "riscv64"], "linux/unknown", "0:linux/unknown"),
        (["amd64 arm64", "riscv64"], "amd64 arm64", "0:linux/amd64,linux/arm64"),
        (["amd64 arm64", "riscv64"], "arm64 riscv64", "0:linux/arm64 1:linux/riscv64"),
        (["amd64", "amd64 riscv64"], "amd64 riscv64", "0:linux/amd64 1:linux/riscv64"),
        (["amd64", "riscv64"], "riscv64 amd64", "1:linux/riscv64 0:linux/amd64"),
        (["amd64", "arm64"], "linux/arm/v8", "1:linux/arm/v8"),
        (["amd64", "arm64"], "linux/arm/v7", "1:linux/arm/v7"),
        (["amd64", "arm64", "linux/arm/v8"], "linux/arm/v7", "2:linux/arm/v7"),
        (["amd64", "linux/arm/v7"], "linux/arm/v8", "0:linux/arm/v8"),
        (["amd64", "linux/arm/v7"], "linux/arm/v6", "1:linux/arm/v6"),
        (["amd64", "riscv64", "riscv64"], "riscv64", "1:linux/riscv64"),
        (["linux/arm/v8", "linux/arm/v7"], "linux/arm/v7", "1:linux/arm/v7"),
        (["amd64", "386"], "386", "1:linux/386"),
        (["riscv64", "amd64"], "", "0:"),
    ],
)
def test_nodes_by_what_they_offer(nodes: list[str], wanted: str, shares: str) -> None:
    assert _shown(by_all([_parsed(each) for each in nodes], _parsed(wanted))) == shares


@pytest.mark.parametrize(
    ("nodes", "wanted", "shares"),
    [
        (["amd64", "arm64"], "arm64 amd64", "1:linux/arm64 0:linux/amd64"),
        (["", "arm64"], "", "0:"),
        (["amd64", ""], "arm64", None),
        (["amd64", ""], "386", None),
        (["amd64", "arm64"], "amd64 riscv64", None),
    ],
)
def test_what_users_fixed_is_enough_if_it_is_exactly_that(
    nodes: list[str], wanted: str, shares: str | None
) -> None:
    found = by_fixed([_parsed(each) for each in nodes], _parsed(wanted))
    assert (None if found is None else _shown(found)) == shares


@pytest.mark.parametrize(
    ("nodes", "loads", "wanted", "shares"),
    [
        (["amd64", "amd64", "amd64"], [2, 1, 1], "amd64", "1:linux/amd64"),
        (["amd64", "amd64"], [2, 0], "", "1:"),
        (["amd64", "arm64"], [9, 0], "", "0:"),
        (["386", "amd64", "386"], [3, 0, 2], "386", "2:linux/386"),
        (["amd64", "arm64", "amd64"], [1, 0, 0], "amd64 arm64", "2:linux/amd64 1:linux/arm64"),
        (["amd64", "amd64"], [0, 0], "riscv64", "0:linux/riscv64"),
    ],
)
def test_of_equals_the_idlest(nodes: list[str], loads: list[int], wanted: str, shares: str) -> None:
    assert _shown(by_all([_parsed(each) for each in nodes], _parsed(wanted), loads)) == shares


def test_a_choice_that_is_none() -> None:
    assert parse_choice("") == "first"
    assert parse_choice("least-loaded") == "least-loaded"
    with pytest.raises(InvalidRequest, match="invalid choice of nodes lest-loaded"):
        parse_choice("lest-loaded")
