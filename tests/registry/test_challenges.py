"""What registries want to be shown, in whatever form they say so."""

from __future__ import annotations

import pytest

from croze.errors import CrozeError
from croze.registry.challenges import Challenge, covers, merge_scopes, parse_challenges

REALM = "https://auth.example/token?a=b"
HEADERS = {
    f'Bearer realm="{REALM}",service="s",scope="r:a:pull"': {
        "realm": REALM,
        "service": "s",
        "scope": "r:a:pull",
    },
    f'BEARER  Realm="{REALM}" ,\tSERVICE=s , x-y="z"': {
        "realm": REALM,
        "service": "s",
        "x-y": "z",
    },
    f'Bearer\trealm="{REALM}"': {"realm": REALM},
    f'Bearer realm="{REALM}", Basic realm="files"': {"realm": REALM},
    f'Bearer realm="{REALM}",service': {"realm": REALM},
    f'Bearer realm="{REALM}" service="s"': {"realm": REALM},
    f'Bearer realm="{REALM}",,service="s"': {"realm": REALM},
    r'Bearer realm="a\"b\\c",service="s"': {"realm": 'a"b\\c', "service": "s"},
    'Bearer realm="never closed,service=s': {"realm": ""},
    "Bearer realm=http://plain/token,service=s": {"realm": "http"},
    'Bearer realm="",service="s"': {"realm": "", "service": "s"},
    'Bearer realm = "a"': {},
    'Bearer ,realm="a"': {},
    "Bearer": {},
}
"""As containerd reads them."""


@pytest.mark.parametrize("header", HEADERS)
def test_what_a_header_says(header: str) -> None:
    assert parse_challenges([header]) == [Challenge("bearer", HEADERS[header])]


def test_several_headers() -> None:
    headers = ["", '"x"', 'Basic realm="x", Bearer realm="y"', "Negotiate"]
    assert [each.scheme for each in parse_challenges(headers)] == ["basic", "negotiate"]
    assert parse_challenges(headers)[0].parameters == {"realm": "x"}


def test_realms() -> None:
    assert Challenge("bearer", {"realm": REALM}).realm == REALM
    with pytest.raises(CrozeError, match=r"^no realm specified for token auth challenge$"):
        _ = Challenge("bearer", {"service": "s"}).realm
    told = r"^invalid token auth challenge realm: parse \"http://\[::1/t\": missing ']' in host$"
    with pytest.raises(CrozeError, match=told):
        _ = Challenge("bearer", {"realm": "http://[::1/t"}).realm


def test_scopes() -> None:
    assert Challenge("bearer", {"scope": "r:a:pull r:b:pull,push"}).scopes == [
        "r:a:pull",
        "r:b:pull,push",
    ]
    assert Challenge("bearer", {"scope": "r:a:pull  r:b:pull"}).scopes == []
    scopes = ["r:a:push,pull", "foo", "r(plugin):x:y:pull", "r:a:delete", "registry:catalog:*"]
    assert merge_scopes(scopes) == [
        "foo:",
        "r(plugin):x:y:pull",
        "r:a:delete,pull,push",
        "registry:catalog:*",
    ]
    assert covers(scopes, ["r:a:pull", "foo"])
    assert covers(scopes, [])
    assert not covers(scopes, ["r:a:admin"])
    assert not covers(scopes, ["r:b:pull"])


def test_more_than_before() -> None:
    first = Challenge("bearer", {"realm": "x", "scope": "r:a:pull"})
    more = Challenge("bearer", {"realm": "x", "scope": "r:b:pull", "error": "insufficient_scope"})
    other = Challenge("bearer", {"realm": "x", "scope": "r:c:pull"})
    assert more.after(first).scopes == ["r:a:pull", "r:b:pull"]
    assert other.after(first) == other
    assert not more.is_final(first.scopes)
    assert more.is_final(more.after(first).scopes)
    assert not other.is_final(other.scopes)
