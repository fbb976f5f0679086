"""Texts become what their keys want once variables are in their place: numbers, `true` or `false`.

Nothing of them reaches a build, but a project with one that can't is refused. Source of the keys:
compose-spec.json; messages are compose-go's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from croze.bake.compose.data import Data, Path
from croze.bake.compose.merge import fits
from croze.errors import InvalidRequest
from croze.gotypes.numbers import parse_float, parse_int
from croze.gotypes.quote import quote

Warn = Callable[[str], None]

_BOOLEANS: Final = {
    **dict.fromkeys(("true", "y", "yes", "on"), True),
    **dict.fromkeys(("false", "n", "no", "off"), False),
}
_LARGEST_FLOAT32: Final = 3.4028235677973366e38


class CastError(Exception):
    """A text that is not what its key wants."""


def cast(path: Path, text: str, warn: Warn) -> Data:
    """What the text at a path stands for; the text itself where a text is wanted. `warn` hears of
    booleans that YAML 1.2 doesn't know. Raises `CastError`."""
    for pattern, read in _CASTS.get(len(path), ()):
        if fits(path, pattern):
            try:
                return read(text, warn)
            except InvalidRequest as error:
                raise CastError(f"failed to cast to expected type: {error}") from None
    return text


def _int(text: str, warn: Warn) -> Data:
    return parse_int(text, call="Atoi")


def _int64(text: str, warn: Warn) -> Data:
    return parse_int(text)


def _float(text: str, warn: Warn) -> Data:
    return parse_float(text)


def _float32(text: str, warn: Warn) -> Data:
    value = parse_float(text)
    if _LARGEST_FLOAT32 <= abs(value) < float("inf"):
        raise InvalidRequest(f"strconv.ParseFloat: parsing {quote(text)}: value out of range")
    return value


def _boolean(text: str, warn: Warn) -> Data:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise InvalidRequest(f"invalid boolean: {text}")
    word = "true" if value else "false"
    if text.lower() != word:
        warn(f"{quote(text)} for boolean is not supported by YAML 1.2, please use `{word}`")
    return value


_Read = Callable[[str, Warn], Data]
_KEYS: Final[tuple[tuple[_Read, str], ...]] = (
    (
        _int64,
        "cpu_count cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares oom_score_adj"
        " pids_limit",
    ),
    (_float, "cpu_percent deploy.update_config.max_failure_ratio"),
    (_float, "deploy.rollback_config.max_failure_ratio"),
    (_float32, "cpus"),
    (_int, "deploy.replicas deploy.update_config.parallelism deploy.rollback_config.parallelism"),
    (_int, "deploy.restart_policy.max_attempts deploy.placement.max_replicas_per_node"),
    (_int, "healthcheck.retries ports.[].target scale ulimits.* ulimits.*.hard ulimits.*.soft"),
    (_boolean, "init depends_on.*.required depends_on.*.restart healthcheck.disable"),
    (_boolean, "oom_kill_disable privileged read_only stdin_open tty"),
    (_boolean, "volumes.[].read_only volumes.[].volume.nocopy"),
)
_BOOLEAN_RESOURCES: Final = (
    "networks.*.external networks.*.internal networks.*.attachable networks.*.enable_ipv4"
    " networks.*.enable_ipv6 volumes.*.external secrets.*.external configs.*.external"
)


def _by_length() -> dict[int, list[tuple[tuple[str, ...], _Read]]]:
    keys = [(f"services.*.{key}", read) for read, text in _KEYS for key in text.split()]
    keys += [(key, _boolean) for key in _BOOLEAN_RESOURCES.split()]
    patterns: dict[int, list[tuple[tuple[str, ...], _Read]]] = {}
    for key, read in keys:
        pattern = tuple(key.split("."))
        patterns.setdefault(len(pattern), []).append((pattern, read))
    return patterns


_CASTS: Final = _by_length()
