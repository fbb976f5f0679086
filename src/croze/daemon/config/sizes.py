"""Amounts of disk and spans of time, in the grammar of `buildkitd.toml`.

Source: BuildKit `cmd/buildkitd/config` (DiskSpace, Duration), docker/go-units RAMInBytes and Go's
time.ParseDuration.
"""

from __future__ import annotations

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.sizes import parse_bytes

_UNKNOWN_DISK_BYTES = 2 * 10**9


class DiskSpace:
    """Bytes, or a percentage of the disk. Units are powers of 1024: `10GB` is 10 GiB."""

    __slots__ = ("percent", "size_bytes")

    def __init__(self, size_bytes: int = 0, percent: int = 0) -> None:
        self.size_bytes = size_bytes
        self.percent = percent

    def __bool__(self) -> bool:
        return bool(self.size_bytes or self.percent)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DiskSpace) and (self.size_bytes, self.percent) == (
            other.size_bytes,
            other.percent,
        )

    def __hash__(self) -> int:
        return hash((self.size_bytes, self.percent))

    def __repr__(self) -> str:
        return f"DiskSpace({self.size_bytes}, {self.percent})"

    @classmethod
    def parse(cls, value: object) -> DiskSpace:
        """Read a number of bytes, `10GB` or `20%`. Raises `InvalidRequest`."""
        text = str(value)
        if text.endswith("%"):
            return cls(percent=_integer(text[:-1]))
        try:
            return cls(parse_bytes(text)) if text else cls()
        except InvalidRequest as error:
            raise InvalidRequest(f"invalid disk space {text}: {error}") from None

    def of(self, disk_bytes: int) -> int:
        """Bytes on a disk of this size. BuildKit rounds percentages up, to what it calls GB."""
        if self.size_bytes or not self.percent:
            return self.size_bytes
        if not disk_bytes:
            return _UNKNOWN_DISK_BYTES
        return (disk_bytes * self.percent // 100 // 2**30 + 1) * 10**9


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidRequest(f"invalid disk space {text}%: not a whole number") from None


class Duration:
    """A span of time."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float = 0) -> None:
        self.seconds = seconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.seconds == other.seconds

    def __hash__(self) -> int:
        return hash(self.seconds)

    def __repr__(self) -> str:
        return f"Duration({self.seconds})"

    @classmethod
    def parse(cls, value: object) -> Duration:
        """Read a number of seconds, or Go's text such as `1h30m`. Raises `InvalidRequest`."""
        text = str(value)
        digits = text.lstrip("+-")
        if not text or digits.isdigit():
            return cls(float(digits or 0) * (-1 if text.startswith("-") else 1))
        try:
            return cls(parse_duration(text) / 1e9)
        except DurationError:
            raise InvalidRequest(f"invalid duration {text}") from None


class Keep(Struct, frozen=True):
    """The bytes that garbage collection leaves: the flag `Reserved[,Free[,Maximum]]`, whose numbers
    are MB."""

    reserved: int
    free: int | None = None
    maximum: int | None = None

    @classmethod
    def parse(cls, text: str) -> Keep:
        """Read the flag's text; its amounts in bytes. Raises `InvalidRequest`."""
        parts = text.split(",", 2)
        try:
            sizes = [int(part) * 10**6 for part in parts]
        except ValueError:
            raise InvalidRequest(
                f'failed to parse storage "{text}": Reserved[,Free[,Maximum]] are whole numbers, MB'
            ) from None
        return cls(*sizes)
