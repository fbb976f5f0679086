"""Where redirects lead, and that credentials stay behind."""

from __future__ import annotations

import pytest

from croze.http.redirects import Hop, RedirectRefused, check_url, next_step, same_origin

SECRET = {"Authorization": "Basic x", "Accept": "a", "Content-Type": "t"}
START = Hop("GET", "https://h.test/a/b", SECRET)
POST = Hop("POST", "https://h.test/a/b", SECRET, has_body=True)


@pytest.mark.parametrize(
    ("location", "url"),
    [("/c", "https://h.test/c"), ("c?d", "https://h.test/a/c?d"), ("//h.test:443/", None)],
)
def test_to_the_same_origin(location: str, url: str | None) -> None:
    step = next_step(START, 307, location)
    assert step.headers == SECRET
    assert url is None or step.url == url


@pytest.mark.parametrize(
    "location",
    ["https://h.test:444/", "https://sub.h.test/", "//evil.test", "https://h.test.evil/"],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_to_another_origin(location: str, status: int) -> None:
    assert "Authorization" not in next_step(START, status, location).headers


@pytest.mark.parametrize(
    "location",
    ["file:///etc/shadow", "ftp://h.test/", "data:,x", "gopher://h/", "http://h:x/", "//["],
)
def test_to_what_is_not_the_web(location: str) -> None:
    with pytest.raises(RedirectRefused):
        next_step(START, 302, location, may_downgrade=True)
    with pytest.raises(RedirectRefused):
        check_url(location)


def test_to_what_is_no_address() -> None:
    with pytest.raises(RedirectRefused, match=r'Location header "http://xxxxx:xxxxx@\['):
        next_step(START, 302, "http://u:hush@[")


def test_out_of_https() -> None:
    with pytest.raises(RedirectRefused, match=r"from https to http://h\.test/"):
        next_step(START, 302, "http://h.test/")
    step = next_step(START, 302, "http://h.test/", may_downgrade=True)
    assert step.headers == {"Accept": "a"}


def test_a_body_stays() -> None:
    assert next_step(POST, 302, "/c") == Hop("GET", "https://h.test/c", SECRET_FREE_OF_BODY)
    assert next_step(POST, 307, "/c").has_body
    with pytest.raises(RedirectRefused, match="body"):
        next_step(POST, 307, "https://evil.test/")
    assert not next_step(POST, 302, "https://evil.test/").has_body


SECRET_FREE_OF_BODY = {"Authorization": "Basic x", "Accept": "a"}


def test_head_stays_head() -> None:
    assert next_step(Hop("HEAD", START.url, {}), 303, "/c").method == "HEAD"


def test_what_is_refused_shows_no_password() -> None:
    with pytest.raises(RedirectRefused) as refused:
        next_step(START, 302, "http://u:hush@h.test/")
    assert "hush" not in str(refused.value)


def test_origins() -> None:
    assert same_origin("http://h/", "http://h:80/x")
    assert not same_origin("http://h/", "https://h/")
