from __future__ import annotations

import pytest

from croze.errors import InvalidRequest
from croze.image import reference

D = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "short"),
    [
        ("busybox", "docker.io/library/busybox", "busybox"),
        ("busybox:1", "docker.io/library/busybox:1", "busybox:1"),
        ("user/app:1", "docker.io/user/app:1", "user/app:1"),
        ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
        ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
        ("localhost/app", "localhost/app", "localhost/app"),
        ("localhost:5000/app:t", "localhost:5000/app:t", "localhost:5000/app:t"),
        ("example.com/a/b/c", "example.com/a/b/c", "example.com/a/b/c"),
        ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
        (f"busybox:1@{D}", f"docker.io/library/busybox:1@{D}", f"busybox:1@{D}"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
        ("Host/app", "Host/app", "Host/app"),
    ],
)
def test_names(text: str, full: str, short: str) -> None:
    ref = reference.parse(text)
    assert str(ref) == full
    assert ref.familiar() == short


def test_the_default_tag() -> None:
    assert reference.normalize("busybox") == "docker.io/library/busybox:latest"
    assert reference.normalize(f"busybox@{D}") == f"docker.io/library/busybox@{D}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid reference format"),
        ("a b", "invalid reference format"),
        ("a:", "invalid reference format"),
        ("-a", "invalid reference format"),
        ("a@sha256:abc", "invalid reference format"),
        ("App", "invalid reference format: repository name (library/App) must be lowercase"),
        ("x.io/App", "invalid reference format: repository name (App) must be lowercase"),
        (
            "a" * 64,
            f"invalid repository name ({'a' * 64}), cannot specify 64-byte hexadecimal strings",
        ),
        ("a@sha256:" + "a" * 40, "invalid checksum digest length"),
        ("a@md5:" + "a" * 32, "unsupported digest algorithm"),
        ("x.io/" + "a" * 256, "repository name must not be more than 255 characters"),
    ],
)
def test_bad_references(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        reference.parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "repository name must have at least one component"),
        ("UPPER:x", "repository name must be lowercase"),
        ("foo/Bar", "repository name must be lowercase"),
        ("a b", "invalid reference format"),
        ("x:", "invalid reference format"),
        ("a" * 300, "repository name must not be more than 255 characters"),
    ],
)
def test_checks_without_normalising(text: str, message: str) -> None:
    """The words of buildx for a tag."""
    with pytest.raises(InvalidRequest) as caught:
        reference.check(text)
    assert str(caught.value) == message


def test_what_a_check_lets_through() -> None:
    for text in ("x", "Foo/bar", "docker.io/x:1", "a" * 64, "x@sha256:" + "0" * 64):
        reference.check(text)


@pytest.mark.parametrize(
    ("digest", "message"),
    [
        ("sha256:" + "a" * 64 + "\n", "invalid checksum digest length"),
        ("sha256:abc", "invalid checksum digest length"),
        ("sha256:" + "A" * 64, "invalid checksum digest format"),
        ("sha256:", "invalid checksum digest format"),
        ("abc", "invalid checksum digest format"),
        ("md5:a b", "invalid checksum digest format"),
        ("md5:" + "a" * 32, "unsupported digest algorithm"),
    ],
)
def test_bad_digests(digest: str, message: str) -> None:
    """A digest of a known algorithm is measured before it is read, as by go-digest."""
    with pytest.raises(InvalidRequest) as caught:
        reference.check_digest(digest)
    assert str(caught.value) == message
