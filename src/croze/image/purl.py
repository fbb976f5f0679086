"""Package URLs of images (purl-spec, types `docker` and `oci`), encoded as packageurl-go does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias
from urllib.parse import parse_qsl, quote, quote_plus, unquote

from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.quote import quote as quote_go
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform

ImageType: TypeAlias = Literal["docker", "oci"]

_VALUE_SAFE = "$&+:=@"


def package_url(
    name: str,
    platform: Platform | None = None,
    *,
    type: ImageType = "docker",
    more: Mapping[str, str] | None = None,
) -> str:
    """`pkg:docker/<familiar name>@<tag>?platform=…`; `more` are further qualifiers."""
    try:
        ref = reference.parse(name)
    except CrozeError as error:
        raise error.wrap(f"failed to parse ref {quote_go(name)}") from None
    qualifiers = {}
    if ref.digest:
        qualifiers["digest"] = ref.digest
    else:
        ref = ref.tagged()
    if platform is not None:
        qualifiers["platform"] = platforms.format(platforms.normalize(platform))
    qualifiers |= more or {}
    path = "/".join(quote_plus(part) for part in ref.familiar_name.split("/"))
    version = f"@{quote(ref.tag, safe=_VALUE_SAFE)}" if ref.tag else ""
    pairs = "&".join(f"{k}={quote(v, safe=_VALUE_SAFE)}" for k, v in qualifiers.items())
    return f"pkg:{type}/{path}{version}" + (f"?{pairs}" if pairs else "")


def digest_set(digest: str) -> dict[str, str]:
    """`sha256:…` as in-toto has it."""
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def image_of(url: str) -> tuple[str, Platform | None]:
    """The image that a `pkg:docker/…` names, and its platform if that is given. Raises
    `InvalidRequest`."""
    head, _, query = url.partition("?")
    kind, _, rest = head.removeprefix("pkg:").lstrip("/").partition("/")
    if not head.startswith("pkg:") or kind.lower() != "docker" or not rest:
        raise InvalidRequest(f'invalid package type "{kind}", expecting docker')
    name, _, version = rest.partition("#")[0].rpartition("@") if "@" in rest else (rest, "", "")
    name, version = unquote(name), unquote(version)
    values = dict(parse_qsl(query.partition("#")[0]))
    digest = values.get("digest", "")
    if ":" in version:
        if digest and digest != version:
            raise InvalidRequest(f'digest "{digest}" does not match version "{version}"')
        digest, version = version, ""
    tag = f":{version}" if version else "" if digest else ":latest"
    ref = reference.normalize(f"{name}{tag}" + (f"@{digest}" if digest else ""))
    platform = platforms.parse(values["platform"]) if "platform" in values else None
    return ref, platform
