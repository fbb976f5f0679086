"""`--attest`, `--provenance`, `--sbom`, `--annotation`: what is said about an image.

Grammar: buildx `util/buildflags/{attests,export}.go`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import checked_bool, parse_bool
from croze.gotypes.quote import quote
from croze.image.annotations import AnnotationKey, parse_key

_TYPE = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?")
_MANIFEST = ("manifest", "manifest-descriptor")
_INDEX = ("index", "index-descriptor")


DEFAULT_PROVENANCE = "mode=min,inline-only=true"
"""What is attested without a word of it."""


def wanted_attests(
    attests: Iterable[str], provenance: str, sbom: str, *, supported: bool
) -> dict[str, str]:
    """The frontend attributes that `--attest`, `--provenance` and `--sbom` stand for. Without a
    word of it there is the least provenance, where the builder can attach it."""
    shorthands = (shorthand("provenance", provenance), shorthand("sbom", sbom))
    parsed = parse_attests([*attests, *filter(None, shorthands)])
    attrs_by_name = {f"attest:{type}": attrs for type, attrs in parsed.items() if attrs is not None}
    is_unsaid = supported and "provenance" not in parsed
    if is_unsaid and not _switch("BUILDX_NO_DEFAULT_ATTESTATIONS"):
        attrs_by_name["attest:provenance"] = DEFAULT_PROVENANCE
    return attrs_by_name


def plain_manifests() -> bool:
    """Whether attestations are to be plain manifests, no OCI artifacts, unless an output says
    otherwise."""
    return _switch("BUILDX_NO_DEFAULT_OCI_ARTIFACT")


def _switch(name: str) -> bool:
    """A variable that switches a default off."""
    text = os.environ.get(name)
    return text is not None and checked_bool(text, f"invalid {name}")


def shorthand(type: str, text: str) -> str:
    """`--provenance` and `--sbom` as an `--attest`; empty when not given."""
    if not text:
        return ""
    on = parse_bool(text)
    if on is not None:
        return f"type={type},disabled={'false' if on else 'true'}"
    return f"type={type},{text}"


def parse_attests(values: Iterable[str]) -> dict[str, str | None]:
    """Attestation attributes by type; None where one is disabled. The first of a type counts."""
    attests: dict[str, str | None] = {}
    for text in values:
        type, attrs = _parse_attest(text)
        attests.setdefault(type, attrs)
    return attests


def _parse_attest(text: str) -> tuple[str, str | None]:
    type, disabled, attrs = "", False, {}
    for part in csv_line.fields(text):
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {part}")
        match key.lower().strip():
            case "type":
                type = value
            case "disabled":
                disabled = checked_bool(value, f"invalid value {part}")
            case _:
                attrs[key] = value
    if not type:
        raise InvalidRequest("attestation type not specified")
    if disabled:
        return type, None
    return type, csv_line.join([("type", type), *sorted(attrs.items())])


def parse_annotations(values: Iterable[str]) -> dict[str, str]:
    """Exporter attributes: `annotation[-<type>[<platform>]].<key>`."""
    annotations: dict[str, str] = {}
    for text in values:
        if not text:
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid annotation {quote(text)}, expected key=value")
        types, colon, name = key.partition(":")
        if not colon:
            annotations[f"annotation.{types}"] = value
            continue
        for where in types.split(","):
            annotations[f"annotation{_where(where)}.{name}"] = value
    return annotations


def _where(text: str) -> str:
    matched = _TYPE.fullmatch(text)
    if matched is None:
        raise InvalidRequest(
            f"invalid annotation type {quote(text)}, "
            "expected type and optional platform in square brackets"
        )
    type, platform = matched[1], matched[2]
    if type not in (*_MANIFEST, *_INDEX):
        raise InvalidRequest(f"unknown annotation type {quote(type)}")
    if platform is None:
        return f"-{type}"
    from croze.image import platform as platforms

    try:
        parsed = platforms.parse(platform)
    except InvalidRequest as error:
        raise error.wrap(f"invalid platform {quote(platform)}") from None
    return f"-{type}[{platforms.format_all(parsed)}]" if type in _MANIFEST else f"-{type}"


def check_annotations(texts: Iterable[str]) -> None:
    """See that a build's `--annotation` flags can be read. Raises `InvalidRequest`."""
    try:
        parse_annotations(texts)
    except InvalidRequest as error:
        raise error.wrap("failed to build: parse annotations") from None


def annotation_keys(texts: Sequence[str]) -> dict[AnnotationKey, str]:
    """`--annotation` of images that are put together from others: without a type, it is for
    whatever comes out. Raises `InvalidRequest`."""
    try:
        attrs = parse_annotations(texts)
    except InvalidRequest as error:
        raise error.wrap("failed to parse annotations") from None
    annotations: dict[AnnotationKey, str] = {}
    for name, value in attrs.items():
        key = parse_key(name)
        if key is not None:
            untyped = name.startswith("annotation.")
            annotations[replace(key, type="") if untyped else key] = value
    return annotations
