"""Where an S3 bucket is, and what its objects are called."""

from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.remotecache.objects import s3_options
from croze.remotecache.objects.s3_options import S3Options


def parse(**attrs: str) -> S3Options:
    return s3_options.parse({"bucket": "b-1", "region": "eu-west-1", **attrs})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_MAX_ATTEMPTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("attrs", "url"),
    [
        ({}, "https://b-1.s3.eu-west-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://b-1.s3.cn-north-1.amazonaws.com.cn"),
        ({"region": "us-gov-west-1"}, "https://b-1.s3.us-gov-west-1.amazonaws.com"),
        ({"bucket": "a.b"}, "https://s3.eu-west-1.amazonaws.com/a.b"),
        ({"bucket": "Upper_Case"}, "https://s3.eu-west-1.amazonaws.com/Upper_Case"),
        ({"use_path_style": "true"}, "https://b-1.s3.eu-west-1.amazonaws.com"),
        ({"endpoint_url": "https://h:9/p/"}, "https://b-1.h:9/p"),
        ({"endpoint_url": "https://h:9/p/", "use_path_style": "1"}, "https://h:9/p/b-1"),
        ({"endpoint_url": "https://h", "use_path_style": "perhaps"}, "https://b-1.h"),
        ({"endpoint_url": "http://h", "bucket": "a.b1"}, "http://s3/a.b1"),
        ({"endpoint_url": "http://h", "bucket": "aaa.bbb"}, "http://aaa.bbb.h"),
        ({"endpoint_url": "http://127.0.0.1:9"}, "http://127.0.0.1:9/b-1"),
        ({"endpoint_url": "http://[::1]:9"}, "http://[::1]:9/b-1"),
    ],
)
def test_urls(attrs: dict[str, str], url: str) -> None:
    expected = url.replace("http://s3/", "http://h/")
    assert parse(**attrs).base_url == expected


def test_an_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://all")
    assert parse().base_url == "http://b-1.all"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3")
    assert parse().base_url == "http://b-1.s3"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert parse().base_url.endswith("amazonaws.com")


@pytest.mark.parametrize("url", ["ftp://h", "file:///etc", "h:9", "http://"])
def test_endpoints_that_are_none(url: str) -> None:
    with pytest.raises(InvalidRequest, match="endpoint rule error"):
        parse(endpoint_url=url)


def test_names() -> None:
    """Put together as they are, without a slash in between."""
    plain = parse()
    assert (plain.blob_key("sha256:1"), plain.config_key("n")) == ("blobs/sha256:1", "manifests/n")
    assert plain.names == ("buildkit",)
    odd = parse(prefix="/p", blobs_prefix="", manifests_prefix="m", name="a;;b")
    assert (odd.blob_key("sha256:1"), odd.config_key("n")) == ("/psha256:1", "/pmn")
    assert odd.names == ("a", "", "b")
    assert odd.url("a b/c%+ü") == f"{odd.base_url}/a%20b/c%25%2B%C3%BC"


def test_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse().touch_refresh_ns == parse(touch_refresh="soon").touch_refresh_ns == 864 * 10**11
    assert parse(touch_refresh="90s").touch_refresh_ns == 9 * 10**10
    assert parse().attempts == 3
    assert parse(retry_max_attempts="+7", retry_mode="adaptive").attempts == 7
    assert parse(retry_mode="adaptive").adaptive
    assert not parse().adaptive
    monkeypatch.setenv("AWS_RETRY_MODE", "Adaptive")
    assert parse().adaptive
    assert not parse(retry_mode="standard").adaptive
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    with pytest.raises(InvalidRequest, match="AWS_RETRY_MODE: unknown RetryMode, legacy"):
        parse()
    monkeypatch.delenv("AWS_RETRY_MODE")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    assert parse().attempts == 5
    assert parse(access_key_id="only").credentials is None
    found = parse(access_key_id="i", secret_access_key="s", session_token="t").credentials
    assert found is not None
    assert (found.access_key_id, found.session_token) == ("i", "t")


def test_a_restart_knows_where_it_was() -> None:
    options = parse(prefix="p/", endpoint_url="http://h")
    origin = {"bucket": "b-1", "region": "eu-west-1", "base_url": "http://b-1.h"}
    again = s3_options.of_origin(origin | {"prefix": "p/", "blobs_prefix": "blobs/"})
    assert again.url(again.blob_key("sha256:1")) == options.url(options.blob_key("sha256:1"))
