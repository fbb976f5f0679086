"""Go's strings: bytes that are mostly UTF-8. Here they are `str` with surrogate escapes.

The whole of Croze keeps names, patterns and the text of files so, like `os.fsdecode`. It becomes
bytes again where somebody takes bytes (`to_bytes`: file names, packets, headers, digests), and
U+FFFD for each byte where somebody takes only UTF-8 (`shown`: protobuf's strings, messages), as
Go's encoders put it. `str.encode` fails on such text, on purpose: one of these two is meant.
"""

from __future__ import annotations

from typing import Final

from croze.patterns import lazy_pattern

ESCAPED = lazy_pattern("[\ud800-\udfff]")
"""A byte that is not part of UTF-8 text."""

SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White space as `unicode.IsSpace` has it, for `str.strip`. Python's own set has the control
characters 0x1c to 0x1f in addition."""


def from_bytes(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    """The bytes that `from_bytes` read."""
    return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """Valid text: U+FFFD for each byte that is not UTF-8."""
    return text if text.isascii() else ESCAPED.sub("\ufffd", text)


def escaped(text: str) -> str:
    r"""Valid text that tells names apart: `\xff` for a byte that is not UTF-8."""
    return text if text.isascii() else ESCAPED.sub(lambda m: f"\\x{ord(m[0]) & 0xFF:02x}", text)
