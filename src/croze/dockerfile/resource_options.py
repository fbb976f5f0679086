"""Options that limit resources: `ulimit`, `memory`, `cpushares` and their kin."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from croze.dockerfile.csv_fields import csv_fields
from croze.errors import CrozeError, InvalidRequest
from croze.gotypes.numbers import parse_int, parse_uint
from croze.gotypes.quote import quote
from croze.gotypes.ulimits import parse_ulimit
from croze.llb.meta import Ulimit
from croze.llb.options import LinuxResources

_MAX_CPU = 8192


def parse_ulimits(text: str) -> list[Ulimit]:
    """`name=soft[:hard]`, comma separated."""
    fields = csv_fields(text, "ulimit")
    try:
        return [Ulimit(*parse_ulimit(field)) for field in fields]
    except CrozeError as err:
        raise err.wrap("failed to parse ulimit") from None


def parse_resources(raw: Mapping[str, str]) -> LinuxResources | None:
    """Limits for every RUN; None if there are none."""
    try:
        resources = LinuxResources(
            memory=_number(raw, "memory", parse_int, _positive),
            memory_swap=_number(raw, "memswap", parse_int, _positive_or_unlimited),
            cpu_shares=_number(raw, "cpushares", parse_uint, _positive),
            cpu_period=_number(raw, "cpuperiod", parse_uint, _positive),
            cpu_quota=_number(raw, "cpuquota", parse_int, _positive),
        )
        resources = replace(
            resources,
            cpuset_cpus=_cpuset(raw, "cpusetcpus"),
            cpuset_mems=_cpuset(raw, "cpusetmems"),
        )
    except CrozeError as err:
        raise err.wrap("failed to parse resource limits") from None
    return resources if resources != LinuxResources() else None


def _positive(value: int) -> str:
    return "" if value > 0 else "must be > 0"


def _positive_or_unlimited(value: int) -> str:
    return "" if value > 0 or value == -1 else "must be -1 (unlimited) or > 0"


def _number(
    raw: Mapping[str, str], key: str, parse: Callable[[str], int], check: Callable[[int], str]
) -> int:
    text = raw.get(key, "")
    if not text:
        return 0
    prefix = f"invalid {key} value: {text}"
    try:
        value = parse(text)
    except CrozeError as err:
        raise err.wrap(prefix) from None
    if wrong := check(value):
        raise InvalidRequest(f"{prefix}: {wrong}")
    return value


def _cpuset(raw: Mapping[str, str], key: str) -> str:
    text = raw.get(key, "")
    for part in text.split(","):
        if part.strip():
            try:
                _check_cpus(part.strip())
            except CrozeError as err:
                raise err.wrap(f"invalid {key} value: {text}") from None
    return text


def _check_cpus(part: str) -> None:
    low, dash, high = part.partition("-")
    try:
        numbers = [parse_int(text.strip()) for text in ([low, high] if dash else [low])]
    except CrozeError:
        numbers = [-1]
    what = "range" if dash else "element"
    if numbers[0] < 0 or numbers[-1] < numbers[0]:
        raise InvalidRequest(f"invalid cpuset {what} {quote(part)}")
    if numbers[-1] > _MAX_CPU:
        what = "cpuset range" if dash else "cpuset element"
        raise InvalidRequest(f"{what} {quote(part)} exceeds maximum {_MAX_CPU}")
