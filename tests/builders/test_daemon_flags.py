"""What a node's daemon is started with."""

from __future__ import annotations

import pytest

from croze.builders.daemon_flags import daemon_flags
from croze.errors import InvalidRequest

HOST = "--allow-insecure-entitlement=network.host"
INSECURE = "--allow-insecure-entitlement security.insecure"


@pytest.mark.parametrize(
    ("text", "driver", "options", "config", "flags"),
    [
        ("", "docker-container", {}, {}, (HOST,)),
        ("", "kubernetes", {}, {}, (HOST,)),
        ("", "remote", {}, {}, None),
        ("--debug", "docker-container", {}, {}, ("--debug", HOST)),
        (HOST, "docker-container", {}, {}, (HOST,)),
        (HOST, "docker-container", {"network": "host"}, {}, (HOST,)),
        (INSECURE, "docker-container", {}, {}, tuple(INSECURE.split())),
        (INSECURE, "docker-container", {"network": "host"}, {}, (*INSECURE.split(), HOST)),
        (INSECURE, "kubernetes", {"network": "host"}, {}, tuple(INSECURE.split())),
        # buildx's reader of flags stops at the first that it doesn't know.
        (f"--debug {HOST}", "docker-container", {}, {}, ("--debug", HOST, HOST)),
        ("", "kubernetes", {}, {"insecure-entitlements": ["network.host"]}, None),
        ("", "kubernetes", {}, {"insecure-entitlements": ["security.insecure"]}, (HOST,)),
        ("--group '1 2'", "remote", {}, {}, ("--group", "1 2")),
    ],
)
def test_a_daemons_flags_follow_from_driver_and_options(
    text: str,
    driver: str,
    options: dict[str, str],
    config: dict[str, object],
    flags: tuple[str, ...] | None,
) -> None:
    assert daemon_flags(text, driver, options, config) == flags


def test_flags_that_are_no_words() -> None:
    with pytest.raises(InvalidRequest, match="failed to parse buildkit flags"):
        daemon_flags("'", "remote", {}, {})
