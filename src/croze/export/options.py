"""What an exporter's attributes say (BuildKit `exporter/containerimage/opts.go`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct, field
from msgspec.structs import replace

from croze import compatibility
from croze.errors import CompatibilityDetail, InvalidRequest
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.gotypes.strings import from_bytes
from croze.image.annotations import AnnotationKey, parse_attrs
from croze.store.attributes import parse_bool, parse_compression
from croze.store.contract import Compression

EPOCH_KEY = "source.date.epoch"
"""The frontend's metadata key for SOURCE_DATE_EPOCH."""


EPOCH_ATTR = "source-date-epoch"


class Epoch(Struct, frozen=True):
    """The attribute `source-date-epoch`; None in it switches the frontend's off."""

    value: datetime | None


class CommitOptions(Struct, frozen=True):
    """How an image is made from a result. None where nothing was said."""

    exporter: str
    name: str = ""
    compression: Compression = field(default_factory=Compression)
    oci_types: bool | None = None
    oci_artifact: bool | None = None
    annotations: Mapping[AnnotationKey, str] = field(default_factory=dict)
    epoch: Epoch | None = None
    rewrite_timestamp: bool = False
    inline_attestations: bool = False
    prefer_nondist: bool = False


def parse_epoch(text: str, key: str) -> datetime | None:
    """The time that a text of Unix seconds says; None for an empty one. Raises `InvalidRequest`."""
    if not text:
        return None
    try:
        seconds = parse_int(text)
    except InvalidRequest as err:
        raise err.wrap(f"invalid {key}: {err}") from err
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise InvalidRequest(f"invalid {key}: year outside of range [1,9999]: {text}") from err


def parse_epoch_attr(attrs: Mapping[str, str]) -> Epoch | None:
    """The attribute, if it is there. Raises `InvalidRequest`."""
    text = attrs.get(EPOCH_ATTR)
    return Epoch(parse_epoch(text, EPOCH_ATTR)) if text is not None else None


def is_epoch(text: str) -> bool:
    """Whether a text is a time for `source-date-epoch`, or none; other texts name where the time
    comes from."""
    try:
        parse_epoch(text, "")
    except InvalidRequest:
        return False
    return True


def source_epoch(metadata: Mapping[str, bytes], key: str = "") -> datetime | None:
    """SOURCE_DATE_EPOCH as the frontend gave it, for a platform or for all."""
    epoch = metadata.get(f"{EPOCH_KEY}/{key}") if key else None
    if epoch is None:
        epoch = metadata.get(EPOCH_KEY, b"")
    text = from_bytes(epoch)
    try:
        return parse_epoch(text, "")
    except InvalidRequest as err:
        raise err.wrap(f"invalid SOURCE_DATE_EPOCH from frontend: {quote(text)}") from err


def parse_commit(
    exporter: str, attrs: Mapping[str, str], *, inline_attestations: bool
) -> tuple[CommitOptions, dict[str, str]]:
    """Read what all image exporters share; returns the rest of the attributes with it."""
    annotations, rest = parse_attrs(attrs)
    epoch = parse_epoch_attr(rest)
    rest.pop(EPOCH_ATTR, None)
    compression = parse_compression(rest)
    for key in ("compression", "compression-level", "force-compression"):
        rest.pop(key, None)
    flag_texts = {key: rest.pop(key) for key in _BOOLEANS if key in rest}
    flags = {key: parse_bool(key, text) for key, text in flag_texts.items()}
    options = CommitOptions(
        exporter,
        name=rest.pop("name", ""),
        compression=compression,
        oci_types=flags.get("oci-mediatypes"),
        oci_artifact=flags.get("oci-artifact"),
        annotations=annotations,
        epoch=epoch,
        rewrite_timestamp=flags.get("rewrite-timestamp", False),
        inline_attestations=flags.get("attestation-inline", inline_attestations),
        prefer_nondist=flags.get("prefer-nondist-layers", False),
    )
    _check(options)
    return options, rest


_BOOLEANS = (
    "oci-mediatypes",
    "oci-artifact",
    "attestation-inline",
    "prefer-nondist-layers",
    "rewrite-timestamp",
)


def settle(options: CommitOptions, version: int, *, attested: bool) -> CommitOptions:
    """Decide what was left open, as the BuildKit of that compatibility version did for a result
    with or without attestations. Raises `InvalidRequest` for what it had not."""
    kind = options.compression.type
    if version == compatibility.BUILDKIT_0_13 and kind == "zstd":
        feature = f"{options.exporter} exporter compression={kind}"
        raise InvalidRequest(
            f"unsupported compatibility-version {version} feature {feature}",
            CompatibilityDetail(version, feature),
        )
    today = version >= compatibility.BUILDKIT_0_32
    oci = options.oci_types
    if oci is None:
        oci = today or attested or options.exporter == "oci"
    artifact = options.oci_artifact if options.oci_artifact is not None else today and oci
    compression = replace(options.compression, oci_types=oci)
    settled = replace(options, oci_types=oci, oci_artifact=artifact, compression=compression)
    _check(settled)
    return settled


def _check(options: CommitOptions) -> None:
    if options.oci_types is not False:
        return
    if options.compression.type == "estargz":
        raise InvalidRequest(
            'exporter option "compression=estargz" conflicts with "oci-mediatypes=false"'
        )
    if options.oci_artifact:
        raise InvalidRequest(
            'exporter option "oci-artifact=true" conflicts with "oci-mediatypes=false"'
        )
