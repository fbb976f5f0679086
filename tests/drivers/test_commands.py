"""Endpoints behind a command: how it is called, and what is refused."""

from __future__ import annotations

import pytest

from croze.drivers.commands import command_for
from croze.drivers.remote import check_endpoint
from croze.errors import CrozeError, InvalidRequest


@pytest.mark.parametrize(
    ("endpoint", "command"),
    [
        ("unix:///run/x.sock", None),
        ("tcp://h:1", None),
        ("ssh://h", "ssh -- h buildctl dial-stdio"),
        (
            "ssh://me@h:22/run/b.sock",
            "ssh -l me -p 22 -- h buildctl --addr unix:///run/b.sock dial-stdio",
        ),
        ("docker-container://C", "docker exec -i C buildctl dial-stdio"),
        (
            "docker-container://c?context=far",
            "docker --context=far exec -i c buildctl dial-stdio",
        ),
        (
            "kube-pod://p?context=c&namespace=n&container=k",
            "kubectl --context=c --namespace=n exec --container=k -i p -- buildctl dial-stdio",
        ),
    ],
)
def test_the_command_of_an_endpoint(endpoint: str, command: str | None) -> None:
    found = command_for(endpoint)
    assert (None if found is None else " ".join(found)) == command


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ("ssh://me:pw@h", "plain-text password is not supported"),
        ("ssh:///x", "no host specified"),
        ("ssh://h?x=1", "extra query after the host"),
        ("ssh://-oProxyCommand=x", "no host specified"),
        ("docker-container://", "url lacks container name"),
        ("docker-container://-it", "url lacks container name"),
        ("kube-pod://", "url lacks pod name"),
        ("kube-pod://p?namespace=-x", "unsupported namespace name"),
        ("npipe:////./pipe/x", "named pipes are of Windows"),
    ],
)
def test_endpoints_that_say_too_little_or_too_much(endpoint: str, said: str) -> None:
    with pytest.raises(CrozeError, match=said):
        command_for(endpoint)


def test_endpoints_of_other_schemes_are_refused() -> None:
    assert check_endpoint("tcp://h:1") == "tcp://h:1"
    with pytest.raises(InvalidRequest, match="unrecognized url scheme http"):
        check_endpoint("http://h")
