"""What a definition must be granted: privileges, devices, files outside, agents."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from croze.bake.entitlements import missing, parse_allow, question
from croze.bake.errors import BakeError
from croze.bake.requests import make_requests
from tests.bake.world import select

HERE = "/home/me/project"


def existing(path: str) -> str:
    """Nothing is a link, but for `link`."""
    return os.path.join(HERE, path).replace(f"{HERE}/link", "/elsewhere")


def wanted(body: str, *allow: str, sets: Sequence[str] = ()) -> str:
    """The flags that would grant what a target asks for beyond its own directory."""
    selection = select({"docker-bake.hcl": f'target "default" {{\n{body}\n}}'}, sets=sets)
    allowed = parse_allow([f"fs={HERE}", *allow])
    allowed.grant(selection.granted)
    found = question(missing(allowed, make_requests(selection), existing), HERE)
    assert found.is_empty == (not found.all_flags)
    assert len(found.lines) == len(found.flags)
    assert len(found.file_lines) == len(found.file_flags)
    return found.all_flags.replace("--allow=", "")


@pytest.mark.parametrize(
    ("body", "flags"),
    [
        ("", ""),
        ('context = "sub"\ndockerfile = "other"', ""),
        ('context = "link"', "fs.read=/elsewhere"),
        ('context = "https://example.com/x.git"', ""),
        ('contexts = { a = "/etc/a", b = "docker-image://b" }', "fs.read=/etc/a"),
        ('secret = [{ id = "s", src = "/etc/key" }]', "fs.read=/etc/key"),
        ('secret = [{ id = "s", env = "KEY" }]', ""),
        ("ssh = [{}]", "ssh"),
        ('ssh = [{ id = "default", paths = ["/root/key"] }]', "fs.read=/root/key"),
        ('cache-from = [{ type = "local", src = "/var/cache" }]', "fs.read=/var/cache"),
        ('cache-to = [{ type = "local", dest = "/var/cache" }]', "fs.write=/var/cache"),
        ('output = [{ type = "local", dest = "/srv/out" }]', "fs.write=/srv/out"),
        ('output = [{ type = "tar", dest = "-" }]', ""),
        ('output = [{ type = "local", dest = "out", mode = "delete" }]', "buildx.local.delete"),
        ('context = "/srv"\noutput = [{ type = "local", dest = "/srv" }]', "fs=/srv"),
        ('contexts = { a = "/srv/a/b", b = "/srv/a" }', "fs.read=/srv/a"),
        ('entitlements = ["network.host"]', "network.host"),
        ('entitlements = ["security.insecure"]', "security.insecure"),
        ('entitlements = ["device=vendor.com/gpu=all"]', "device=vendor.com/gpu=all"),
        ('entitlements = ["device"]', "device"),
    ],
)
def test_what_is_asked_for_is_what_grants_it(body: str, flags: str) -> None:
    assert wanted(body) == flags
    assert wanted(body, *flags.split()) == ""


def test_a_neighbour_with_a_longer_name_is_outside() -> None:
    assert wanted(f'context = "{HERE}s"') == "fs.read=../projects"


ALL = """
context = "/srv"
ssh = [{}]
output = [{ type = "local", dest = "/out", mode = "delete" }]
entitlements = ["network.host", "security.insecure", "device=a"]
"""


@pytest.mark.parametrize(
    "grant",
    ["network.host", "security.insecure", "device=a", "buildx.local.delete", "ssh", "fs.read=/srv"],
)
def test_a_grant_is_of_nothing_else(grant: str) -> None:
    asked = wanted(ALL).split()
    assert grant in asked
    assert wanted(ALL, grant).split() == [x for x in asked if x != grant]


@pytest.mark.parametrize(
    ("allow", "flags"),
    [
        ("fs.read=*", "fs.write=/srv/b"),
        ("fs.write=*", "fs.read=/srv/a"),
        ("fs=*", ""),
        ("fs=/", ""),
        ("fs=/srv", ""),
        ("fs=/sr", "fs.read=/srv/a fs.write=/srv/b"),
        ("image.push", "fs.read=/srv/a fs.write=/srv/b"),
    ],
)
def test_directories_are_granted_whole(allow: str, flags: str) -> None:
    body = 'context = "/srv/a"\noutput = [{ type = "local", dest = "/srv/b" }]'
    assert wanted(body, allow) == flags


@pytest.mark.parametrize(
    "text",
    [
        "*.output=type=local,dest=/srv/a",
        "*.cache-to=type=local,dest=/srv/a",
        "*.cache-from=type=local,src=/srv/a",
        "*.ssh=default=/srv/a",
        "*.entitlements=network.host",
        "*.entitlements=security.insecure",
    ],
)
def test_what_the_command_line_sets_it_grants(text: str) -> None:
    assert wanted("", sets=[text]) == ""


def test_a_secret_from_elsewhere_is_granted_by_naming_its_place() -> None:
    body = 'secret = [{ id = "s" }, { id = "t", src = "/srv/t" }]'
    assert wanted(body, sets=["*.secret.s=src=/srv/s"]) == "fs.read=/srv/t"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("all", 'unknown entitlement key "all"'),
        ("network.hosts", 'unknown entitlement key "network.hosts"'),
        ("network.host=1", 'unknown entitlement key "network.host"'),
        ("buildx.local.delete=1", "buildx.local.delete does not accept a value"),
    ],
)
def test_what_can_not_be_allowed(text: str, reason: str) -> None:
    with pytest.raises(BakeError, match=f"^{reason}$"):
        parse_allow([text])
