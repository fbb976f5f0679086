"""Image references: `[domain/]path[:tag][@digest]`.

Grammar and error texts: the distribution project's `reference` module. A short name such as
`busybox` is normalised to `docker.io/library/busybox`; the short form is called familiar.
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.gotypes.letters import to_lower
from croze.patterns import lazy_pattern

DEFAULT_DOMAIN = "docker.io"
DEFAULT_TAG = "latest"
DANGLING = "moby-dangling"
"""The repository of images without a name in a Docker engine's store: `moby-dangling@sha256:…`."""

_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_PATH = rf"{_PART}(?:/{_PART})*"
_TAG = r"\w[\w.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = lazy_pattern(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?\Z", re.ASCII)
_HEX_64 = lazy_pattern(r"[a-f0-9]{64}\Z")
_DIGEST_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_VALID_DIGEST = lazy_pattern(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+\Z")


class Reference(Struct, frozen=True):
    """A normalised reference. `tag` and `digest` are empty where absent."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The repository, e.g. `docker.io/library/busybox`."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def familiar_name(self) -> str:
        """The repository as people write it, e.g. `busybox`."""
        if self.domain != DEFAULT_DOMAIN:
            return self.name
        short = self.path.removeprefix("library/")
        return short if "/" not in short else self.path

    def __str__(self) -> str:
        return self.name + self._suffix()

    def familiar(self) -> str:
        """The reference as users write it: `alpine:3.20` for `docker.io/library/alpine:3.20`."""
        return self.familiar_name + self._suffix()

    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return tag + (f"@{self.digest}" if self.digest else "")

    def with_tag(self, tag: str) -> Reference:
        return replace(self, tag=tag)

    def with_digest(self, digest: str) -> Reference:
        return replace(self, digest=digest)

    def tagged(self) -> Reference:
        """The reference, with the tag `latest` if there is neither tag nor digest."""
        return self if self.tag or self.digest else self.with_tag(DEFAULT_TAG)


def parse(text: str) -> Reference:
    """Read a reference in any form and normalise its name; tag and digest stay as they are.

    Raises `InvalidRequest`, worded as the distribution project does (`invalid reference format`).
    """
    if _HEX_64.match(text):
        raise InvalidRequest(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, rest = _split_domain(text)
    remote = rest.partition(":")[0]
    if to_lower(remote) != remote:
        raise InvalidRequest(
            f"invalid reference format: repository name ({remote}) must be lowercase"
        )
    return _parse_full(f"{domain}/{rest}", domain)


def check(text: str) -> None:
    """See that it is a reference, without normalising it: as short as a user may write a tag.

    Raises `InvalidRequest`, in the distribution project's words for its `Parse`.
    """
    if not text:
        raise InvalidRequest("repository name must have at least one component")
    _parse_full(text, "")


def _parse_full(text: str, domain: str) -> Reference:
    match = _REFERENCE.match(text)
    if match is None:
        if _REFERENCE.match(to_lower(text)):
            raise InvalidRequest("repository name must be lowercase")
        raise InvalidRequest("invalid reference format")
    path = match[1].removeprefix(f"{domain}/")
    if len(path) > 255:
        raise InvalidRequest("repository name must not be more than 255 characters")
    if match[3]:
        check_digest(match[3])
    return Reference(domain, path, match[2] or "", match[3] or "")


def _split_domain(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash:
        return DEFAULT_DOMAIN, f"library/{name}"
    has_domain = first == "localhost" or set(first) & set(".:") or first.lower() != first
    domain, remainder = (first, rest) if has_domain else (DEFAULT_DOMAIN, name)
    if domain == "index.docker.io":
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in remainder:
        remainder = f"library/{remainder}"
    return domain, remainder


def check_digest(digest: str) -> str:
    """Return the digest, or raise `InvalidRequest` saying what is wrong with it."""
    algorithm, _, value = digest.partition(":")
    if not algorithm or not value:
        raise InvalidRequest("invalid checksum digest format")
    if algorithm not in _DIGEST_HEX_LENGTH:
        is_valid = _VALID_DIGEST.match(digest)
        raise InvalidRequest(
            "unsupported digest algorithm" if is_valid else "invalid checksum digest format"
        )
    if len(value) != _DIGEST_HEX_LENGTH[algorithm]:
        raise InvalidRequest("invalid checksum digest length")
    if not re.match(r"[a-f0-9]+\Z", value):
        raise InvalidRequest("invalid checksum digest format")
    return digest


def normalize(text: str) -> str:
    """`busybox` → `docker.io/library/busybox:latest`."""
    return str(parse(text).tagged())


def familiar(text: str) -> str:
    """`docker.io/library/busybox:latest` → `busybox:latest`."""
    return parse(text).familiar()
