"""What went through a network interface of the machine's (sysfs `class/net/*/statistics`)."""

from __future__ import annotations

from pathlib import Path

from croze.patterns import lazy_pattern

SYSFS = Path("/sys/class/net")
_COUNTERS = {
    "rxBytes": "rx_bytes",
    "rxPackets": "rx_packets",
    "rxErrors": "rx_errors",
    "rxDropped": "rx_dropped",
    "txBytes": "tx_bytes",
    "txPackets": "tx_packets",
    "txErrors": "tx_errors",
    "txDropped": "tx_dropped",
}
_NAME = lazy_pattern(r"[^/\s]{1,15}")


class Counters:
    """What went through the interface `name` since this was made, as the machine sees it: what a
    container receives, its end on the machine sends."""

    def __init__(self, name: str, sysfs: Path = SYSFS) -> None:
        is_name = _NAME.fullmatch(name) and name not in (".", "..")
        self._folder = sysfs / name / "statistics" if is_name else None
        self._before = self._read()

    def since(self) -> dict[str, object] | None:
        """What was counted since, by BuildKit's names; those that have not counted are left out.
        None if there is no such interface."""
        now = self._read()
        if now is None or self._before is None:
            return None
        changed = {name: value - self._before[name] for name, value in now.items()}
        return {name: value for name, value in changed.items() if value}

    def _read(self) -> dict[str, int] | None:
        if self._folder is None:
            return None
        try:
            return {
                name: int((self._folder / file).read_text()) for name, file in _COUNTERS.items()
            }
        except (OSError, ValueError):
            return None
