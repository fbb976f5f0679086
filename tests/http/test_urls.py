"""What is a URL, in Go's words."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.http.urls import parse_url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("tcp://[::1", "parse \"tcp://[::1\": missing ']' in host"),
        ("tcp://h:x", 'parse "tcp://h:x": invalid port ":x" after host'),
        ("tcp://h:99999", 'parse "tcp://h:99999": invalid port ":99999" after host'),
        ("http://a\nb/", 'parse "http://a\\nb/": net/url: invalid control character in URL'),
        ("http://me:secret@h:x/", 'parse "http://xxxxx:xxxxx@h:x/": invalid port ":x" after host'),
    ],
)
def test_what_is_none(url: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_url(url)
    assert str(caught.value) == said


def test_what_is_one() -> None:
    parts = parse_url("ssh://me@[::1]:22/path?query#fragment")
    assert (parts.hostname, parts.port, parts.path) == ("::1", 22, "/path")
