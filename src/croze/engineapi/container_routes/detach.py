"""Keys that leave a container's terminal without ending what runs there (`--detach-keys`).

Source: moby/term `ascii.go` and `proxy.go`: names are single characters or `ctrl-` with a letter or
one of `@ [ \\ ] ^ _`, separated by commas.
"""

from __future__ import annotations

from croze.errors import InvalidRequest

DEFAULT = "ctrl-p,ctrl-q"
_CONTROL = {**{chr(97 + n): n + 1 for n in range(26)}, "@": 0}
_CONTROL |= {"[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse(text: str) -> bytes:
    """The bytes that the keys send; the usual ones for none. Raises `InvalidRequest`."""
    return bytes(_key(name, text) for name in (text or DEFAULT).split(","))


def _key(name: str, text: str) -> int:
    control = name.removeprefix("ctrl-")
    if control != name and control in _CONTROL:
        return _CONTROL[control]
    if len(name) != 1 or not name.isascii():
        raise InvalidRequest(f"Invalid detach keys ({text}) provided")
    return ord(name)


class Escape:
    """Takes the keys that leave a terminal out of what is typed. What may be their beginning waits
    for what follows."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def typed(self, data: bytes) -> tuple[bytes, bool]:
        """What goes on to the process, and whether the keys were there."""
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self._matched = 0
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 0
            if byte == self._keys[0] and len(self._keys) > 1:
                self._matched = 1
            else:
                passed.append(byte)
        return bytes(passed), False
