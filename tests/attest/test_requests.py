"""Who asked for what, as provenance tells it."""

from __future__ import annotations

import msgspec
import pytest

from croze.attest.capture import Capture, SortedCapture
from croze.attest.producers import Producers
from croze.attest.requests import AttestedRequest, ConfigSource, RequestProvenance
from croze.sources.materials import GitMaterial, HttpMaterial, ImageMaterial

COMMIT = "a" * 40
GIT = SortedCapture(git=(GitMaterial("https://example.com/r.git#main", COMMIT),))
DIGEST = "sha256:" + "b" * 64


def source(asked: AttestedRequest, used: SortedCapture) -> ConfigSource:
    found = asked.told(used).config_source
    assert isinstance(found, ConfigSource)
    return found


@pytest.mark.parametrize(
    "context",
    [
        "https://example.com/r.git#main:sub",
        "https://example.com/r.git?ref=main&subdir=sub",
    ],
)
def test_a_git_context_is_the_config_source(context: str) -> None:
    asked = AttestedRequest("dockerfile.v0", {"context": context, "filename": "File"})
    assert source(asked, GIT) == ConfigSource(
        "https://example.com/r.git#main:sub", {"sha1": COMMIT}, "File"
    )
    request = asked.told(GIT).request
    assert request is not None
    assert request.args == {}


def test_an_http_context_and_a_local_one() -> None:
    used = SortedCapture(http=(HttpMaterial("https://example.com/c.tar", DIGEST),))
    asked = AttestedRequest("", {"contextkey": "where", "where": "https://example.com/c.tar"})
    assert source(asked, used).digest == {"sha256": "b" * 64}
    assert source(AttestedRequest("", {}), used) == ConfigSource()


def test_what_is_left_out_and_what_is_hidden() -> None:
    asked = AttestedRequest(
        "dockerfile.v0",
        {
            "attest:provenance": "mode=max",
            "platform": "linux/amd64",
            "context:dep": "https://me:secret@example.com/d.git",
            "vcs:source": "https://token@example.com/r.git",
            "build-arg:A": "b",
        },
    )
    assert asked.args == {
        "context:dep": "https://xxxxx:xxxxx@example.com/d.git",
        "vcs:source": "https://xxxxx@example.com/r.git",
        "build-arg:A": "b",
    }


def test_the_least_says_no_arguments_however_deep() -> None:
    inner = AttestedRequest("a", {"build-arg:X": "1", "target": "t"}).told(SortedCapture())
    asked = AttestedRequest("b", {"label:l": "1"}, {"input": inner})
    told = asked.told(SortedCapture(), AttestedRequest("", {"build-arg:Y": "1"})).request
    assert told is not None
    scrubbed, less = told.scrubbed()
    assert less
    text = msgspec.json.encode(scrubbed).decode()
    assert '"target":"t"' in text
    assert not any(word in text for word in ("build-arg", "label"))
    plain, less = scrubbed.scrubbed()
    assert (plain, less) == (scrubbed, False)


def test_the_clients_own_request_is_told_only_where_it_says_more() -> None:
    def root(asked: AttestedRequest, client: AttestedRequest) -> RequestProvenance | None:
        request = asked.told(SortedCapture(), client).request
        assert request is not None
        return request.root

    asked = AttestedRequest("dockerfile.v0", {"target": "t"})
    assert root(asked, asked) is None
    assert (
        root(asked, AttestedRequest("", {"filename": "Dockerfile", "platform": "linux/amd64"}))
        is None
    )
    found = root(asked, AttestedRequest("", {"target": "t"}))
    assert found is not None


def test_producers_are_told_only_if_all_agree() -> None:
    producers = Producers()
    one = AttestedRequest("a", {}).told(SortedCapture(), AttestedRequest("", {"x": "1"}))
    same = AttestedRequest("a", {}).told(SortedCapture(), AttestedRequest("", {"x": "2"}))
    producers.add("head", one)
    producers.add("head", same)
    assert producers.find("head") == AttestedRequest("a", {}).told(SortedCapture())
    other = AttestedRequest("b", {}).told(SortedCapture())
    producers.add("head", other)
    assert producers.find("head") is None
    for each in (one, same, other):
        producers.remove("head", each)
    assert producers.find("head") is None


def test_a_pinned_image_gives_way_to_its_tag() -> None:
    capture = Capture()
    capture.add(ImageMaterial(f"docker.io/library/b:latest@{DIGEST}", None, DIGEST))
    capture.add(ImageMaterial("docker.io/library/b:latest", None, DIGEST))
    capture.add(ImageMaterial(f"docker.io/library/a@{DIGEST}", None, DIGEST))
    assert [each.ref for each in capture.described().images] == [
        f"docker.io/library/a@{DIGEST}",
        "docker.io/library/b:latest",
    ]


def test_a_secret_that_is_needed_once_is_needed() -> None:
    capture, other = Capture(), Capture()
    capture.add_secret("s", optional=True)
    capture.add_ssh("", optional=True)
    other.add_secret("s", optional=False)
    capture.merge(other)
    assert capture.described().secrets == {"s": False}
    assert capture.described().ssh == {"default": True}
