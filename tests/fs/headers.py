"""Headers of tar members as nobody else writes them."""

from __future__ import annotations


def number(value: int, width: int) -> bytes:
    text = b"%0*o" % (width - 1, value)
    if len(text) < width:
        return text + b"\0"
    return (value | 1 << (width * 8 - 1)).to_bytes(width, "big")


def header(
    name: bytes,
    flag: str,
    size: int,
    *,
    link: bytes = b"",
    ids: tuple[int, int] = (0, 0),
    mode: int = 0o644,
    mtime: int = 0,
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\x0000",
) -> bytes:
    head = b"".join(
        [
            name[:100].ljust(100, b"\0"),
            number(mode & 0o7777777, 8),
            *(number(min(one, (1 << 55) - 1), 8) for one in ids),
            number(size, 12),
            number(mtime, 12),
            b" " * 8,
            flag.encode("latin-1"),
            link[:100].ljust(100, b"\0"),
            magic,
            bytes(64),
            *(number(min(one, (1 << 55) - 1), 8) for one in device),
        ]
    ).ljust(512, b"\0")
    return head[:148] + b"%06o\0 " % sum(head) + head[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def record(key: str, value: bytes) -> bytes:
    body = b" " + key.encode() + b"=" + value + b"\n"
    length = len(body)
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body
