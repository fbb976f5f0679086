"""A build's trace as the daemon keeps it: one JSON object a span, one after the other.

The objects are those of OpenTelemetry Go's `tracetest.SpanStub`, as docker/buildx reads them
(`util/otelutil/span.go`); what leaves the machine has no tokens (`util/desktop/bundle/trace.go`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson

MEDIA_TYPE = "application/vnd.buildkit.otlp.json.v0"
_SECRET = re.compile(
    r"(ghtoken|token|access_key_id|secret_access_key|session_token)=[^ ,]+", re.IGNORECASE
)
_GITHUB = re.compile(r"(?:ghu|ghs)_[A-Za-z0-9]{36}|github_pat_\w{82}", re.ASCII)


class Context(msgspec.Struct, frozen=True):
    """The ids of a span and of its trace."""

    TraceID: str = "0" * 32
    SpanID: str = "0" * 16
    TraceFlags: str = "00"
    TraceState: str = ""
    Remote: bool = False


class AttributeValue(msgspec.Struct, frozen=True):
    """A value and its `Type`: `STRING`, `INT64`, `BOOL`, `FLOAT64`, or one of these and `SLICE`."""

    Type: str
    Value: object


class SpanAttribute(msgspec.Struct, frozen=True):
    Key: str
    Value: AttributeValue


class SpanEvent(msgspec.Struct, frozen=True):
    Name: str = ""
    Attributes: list[SpanAttribute] | None = None
    DroppedAttributeCount: int = 0
    Time: str = ""


class SpanLink(msgspec.Struct, frozen=True):
    SpanContext: Context = Context()
    Attributes: list[SpanAttribute] | None = None
    DroppedAttributeCount: int = 0


class Status(msgspec.Struct, frozen=True):
    """How a span ended. `Code` is 0 (unset), 1 (error) or 2 (OK); some write it as a word."""

    Code: int | str = 0
    Description: str = ""

    @property
    def failed(self) -> bool:
        return self.Code in (1, "Error")


class SpanScope(msgspec.Struct, frozen=True):
    Name: str = ""
    Version: str = ""
    SchemaURL: str = ""
    Attributes: dict[str, object] = {}


class Span(msgspec.Struct, frozen=True):
    """One span of a build's trace. Times as RFC 3339."""

    Name: str = ""
    SpanContext: Context = Context()
    Parent: Context = Context()
    SpanKind: int = 0
    StartTime: str = ""
    EndTime: str = ""
    Attributes: list[SpanAttribute] | None = None
    Events: list[SpanEvent] | None = None
    Links: list[SpanLink] | None = None
    Status: Status = Status()
    DroppedAttributes: int = 0
    DroppedEvents: int = 0
    DroppedLinks: int = 0
    ChildSpanCount: int = 0
    Resource: list[SpanAttribute] | None = None
    InstrumentationLibrary: SpanScope = SpanScope()


def parse(data: bytes) -> list[Span]:
    """The spans in the daemon's text of a trace. Raises `InvalidRequest`."""
    spans: list[Span] = []
    try:
        for value in _values(data.decode()):
            spans.append(msgspec.convert(value, Span))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidRequest(f"error decoding JSON: {error}") from None
    return spans


def _values(text: str) -> Iterable[object]:
    decoder = json.JSONDecoder()
    at = 0
    while (at := _after_space(text, at)) < len(text):
        value, at = decoder.raw_decode(text, at)
        yield value


_SPACE = re.compile(r"\s*")


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def without_secrets(data: bytes) -> bytes:
    """A trace as it may leave the machine; byte for byte as buildx writes it."""
    return b"".join(gojson.marshal_indent(_plain(span)) + b"\n" for span in parse(data))


def _plain(span: Span) -> Span:
    return msgspec.structs.replace(
        span,
        SpanContext=_context(span.SpanContext),
        Parent=_context(span.Parent),
        StartTime=_time(span.StartTime),
        EndTime=_time(span.EndTime),
        Attributes=[_attribute(one) for one in span.Attributes or ()] or None,
        Events=[
            msgspec.structs.replace(one, Time=_time(one.Time), Attributes=one.Attributes or None)
            for one in span.Events or ()
        ]
        or None,
        Links=[
            msgspec.structs.replace(
                one, SpanContext=_context(one.SpanContext), Attributes=one.Attributes or None
            )
            for one in span.Links or ()
        ]
        or None,
        InstrumentationLibrary=msgspec.structs.replace(span.InstrumentationLibrary, Attributes={}),
    )


def _context(context: Context) -> Context:
    flags = "01" if context.TraceFlags == "01" else "00"
    return msgspec.structs.replace(context, TraceFlags=flags, TraceState="")


def _attribute(one: SpanAttribute) -> SpanAttribute:
    value = one.Value.Value
    if one.Value.Type != "STRING" or not isinstance(value, str):
        return one
    plain = _GITHUB.sub("xxxxx", _SECRET.sub(r"\1=xxxxx", value))
    return SpanAttribute(one.Key, AttributeValue("STRING", plain))


def _time(text: str) -> str:
    """A time without zeros at the end of its fraction, as Go writes it."""
    head, dot, tail = text.rpartition(".")
    if not dot:
        return text
    digits = tail.rstrip("Z0123456789")
    fraction, zone = tail[: len(tail) - len(digits)], digits
    zulu = "Z" if fraction.endswith("Z") else ""
    fraction = fraction.rstrip("Z").rstrip("0")
    return f"{head}.{fraction}{zulu}{zone}" if fraction else f"{head}{zulu}{zone}"


def attributes(listed: Sequence[SpanAttribute] | None) -> dict[str, object]:
    """The values of attributes by key."""
    return {one.Key: one.Value.Value for one in listed or ()}
