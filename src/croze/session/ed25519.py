"""Ed25519 signatures (RFC 8032), for the token authority of `moby.filesync.v1.Auth`.

Written out here because nothing else needs a cryptography library. It is not constant-time: the
keys live for one daemon and only tell two clients' credentials apart.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)

Point = tuple[int, int, int, int]
"""Extended homogeneous coordinates (X, Y, Z, T)."""

_ZERO: Point = (0, 1, 1, 0)


def public_key(seed: bytes) -> bytes:
    """The 32-byte public key of a 32-byte seed."""
    return _pack(_times(_scalar(_hash(seed)), _base()))


def sign(seed: bytes, message: bytes) -> bytes:
    """The 64-byte signature."""
    digest = _hash(seed)
    key = public_key(seed)
    nonce = _number(digest[32:] + message)
    start = _pack(_times(nonce, _base()))
    answer = (nonce + _number(start + key + message) * _scalar(digest)) % _L
    return start + answer.to_bytes(32, "little")


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    if len(signature) != 64 or len(key) != 32:
        return False
    holder, start = _unpack(key), _unpack(signature[:32])
    answer = int.from_bytes(signature[32:], "little")
    if holder is None or start is None or answer >= _L:
        return False
    challenge = _number(signature[:32] + key + message)
    return _equal(_times(answer, _base()), _add(start, _times(challenge, holder)))


def _hash(data: bytes) -> bytes:
    return hashlib.sha512(data).digest()


def _number(data: bytes) -> int:
    return int.from_bytes(_hash(data), "little") % _L


def _scalar(digest: bytes) -> int:
    low = int.from_bytes(digest[:32], "little")
    return low & ((1 << 254) - 8) | (1 << 254)


def _add(a: Point, b: Point) -> Point:
    m = (a[1] - a[0]) * (b[1] - b[0]) % _P
    n = (a[1] + a[0]) * (b[1] + b[0]) % _P
    c = 2 * a[3] * b[3] * _D % _P
    d = 2 * a[2] * b[2] % _P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(scalar: int, point: Point) -> Point:
    total = _ZERO
    while scalar:
        if scalar & 1:
            total = _add(total, point)
        point = _add(point, point)
        scalar >>= 1
    return total


def _equal(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % _P == 0 and (a[1] * b[2] - b[1] * a[2]) % _P == 0


def _base() -> Point:
    y = 4 * pow(5, -1, _P) % _P
    x = _x_of(y, 0)
    assert x is not None
    return x, y, 1, x * y % _P


def _x_of(y: int, sign_bit: int) -> int | None:
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if square == 0:
        return None if sign_bit else 0
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT % _P
    if (x * x - square) % _P:
        return None
    return x if x & 1 == sign_bit else _P - x


def _pack(point: Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _unpack(data: bytes) -> Point | None:
    value = int.from_bytes(data, "little")
    y = value & ((1 << 255) - 1)
    if y >= _P:
        return None
    x = _x_of(y, value >> 255)
    return None if x is None else (x, y, 1, x * y % _P)
