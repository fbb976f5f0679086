"""URLs as Go takes them apart: what is expected here is what `net/url` answered."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.gotypes import url


@pytest.mark.parametrize(
    ("text", "written", "host", "path"),
    [
        ("https://h/a%20b/c?x#y", "https://h/a%20b/c", "h", "/a b/c"),
        ("https://h/a b*", "https://h/a%20b%2A", "h", "/a b*"),
        ("https://h/a*", "https://h/a*", "h", "/a*"),
        ("HTTPS://H:/a", "https://H:/a", "H:", "/a"),
        ("ssh://u:p@ss@[::1]:22/a", "ssh://u:p%40ss@[::1]:22/a", "[::1]:22", "/a"),
        ("ssh://git@h:1:2/x", "ssh://git@h:1:2/x", "h:1:2", "/x"),
        ("https://\u00e9/x", "https://%C3%A9/x", "\u00e9", "/x"),
        ("https://h/a?", "https://h/a?", "h", "/a"),
        ("git://", "git:", "", ""),
        ("https://[fe80::1%25en0]/", "https://[fe80::1%25en0]/", "[fe80::1%en0]", "/"),
    ],
)
def test_what_is_a_url(text: str, written: str, host: str, path: str) -> None:
    parsed = url.parse(text)
    assert (parsed.without_query(), parsed.host, parsed.path) == (written, host, path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://h:a/", 'invalid port ":a" after host'),
        ("https://h:1:2/", 'invalid port ":1:2" after host'),
        ("https://a%20b/", 'invalid URL escape "%20"'),
        ("https://a}b/", 'invalid character "}" in host name'),
        ("https://a[b/", "invalid IP-literal"),
        ("https://[::1/", "missing ']' in host"),
        ("https://u\u00e9@h/", "net/url: invalid userinfo"),
        ("https://h/%zz", 'invalid URL escape "%zz"'),
        ("https://h/#%z", 'invalid URL escape "%z"'),
        ("https://h/\x01", "net/url: invalid control character in URL"),
        ("://h", "missing protocol scheme"),
    ],
)
def test_what_is_none(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        url.parse(text)
    assert str(caught.value).endswith(f": {why}")


def test_what_is_wrong_first_is_told() -> None:
    """Of a fragment only where all before it is right."""
    for text, told in (("https://h:a/#%z", "https://h:a/"), ("https://h/#%z", "https://h/#%z")):
        with pytest.raises(InvalidRequest) as caught:
            url.parse(text)
        assert str(caught.value).startswith(f'parse "{told}": invalid ')


def test_pairs_that_are_none_are_left_out() -> None:
    assert url.parse_query("a=1&b;c=2&=3&a=4%20&%z=5&d+e") == (
        {"a": ["1", "4 "], "": ["3"], "d e": [""]},
        "invalid semicolon separator in query",
    )
