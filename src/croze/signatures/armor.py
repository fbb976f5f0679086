"""ASCII armour (RFC 9580 section 6.2): base64 between BEGIN and END lines."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from msgspec import Struct

from croze.errors import InvalidRequest

_BLOCK = re.compile(
    rb"^-----BEGIN (?P<kind>[A-Z ]+)-----[ \t]*\r?\n(?P<body>.*?)^-----END (?P=kind)-----",
    re.MULTILINE | re.DOTALL,
)


class ArmoredBlock(Struct, frozen=True):
    """The bytes in a block of armour, and its `kind`: what stands after BEGIN."""

    kind: str
    data: bytes


def blocks(text: bytes) -> Iterator[ArmoredBlock]:
    """Every block in the text; what is around them is left out. Raises `InvalidRequest`."""
    for match in _BLOCK.finditer(text):
        yield ArmoredBlock(match["kind"].decode(), _decoded(match["body"]))


def _decoded(body: bytes) -> bytes:
    lines = [line.strip() for line in body.splitlines()]
    if b"" in lines and all(b": " in line for line in lines[: lines.index(b"")]):
        lines = lines[lines.index(b"") + 1 :]
    # A line that starts with `=` is an optional checksum, which readers must not insist on.
    text = b"".join(line for line in lines if not line.startswith(b"="))
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as err:
        raise InvalidRequest(f"invalid armor: {err}") from None
