"""HEALTHCHECK."""

from __future__ import annotations

from croze.dockerfile.instructions.flags import parse_flags
from croze.dockerfile.instructions.header import at_least_one, header
from croze.dockerfile.instructions.values import HealthcheckConfig, HealthcheckInstruction
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.syntax_tree import InstructionNode
from croze.errors import InvalidRequest
from croze.gotypes.duration import DurationError, parse_duration
from croze.gotypes.letters import to_upper
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote

_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")
_MIN_NS = 1_000_000


def parse_healthcheck(node: InstructionNode) -> HealthcheckInstruction:
    """Read a HEALTHCHECK. Raises `DockerfileError`."""
    kind, *words = at_least_one("HEALTHCHECK", node.args)
    if to_upper(kind) == "NONE":
        if words:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return HealthcheckInstruction(**header(node), config=HealthcheckConfig(("NONE",)))
    values = parse_flags(node.flags, values=_FLAGS).values
    test = _test(to_upper(kind), node)
    interval, timeout, start_period, start_interval = (
        _duration(name, values.get(name, "")) for name in _FLAGS[:4]
    )
    config = HealthcheckConfig(
        test,
        interval_ns=interval,
        timeout_ns=timeout,
        start_period_ns=start_period,
        start_interval_ns=start_interval,
        retries=_retries(values.get("retries", "")),
    )
    return HealthcheckInstruction(**header(node), config=config)


def _test(kind: str, node: InstructionNode) -> tuple[str, ...]:
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {quote(kind)} in HEALTHCHECK (try CMD)")
    words = node.args[1:]
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    if node.json:
        return ("CMD", *words)
    return ("CMD-SHELL", " ".join(words))


def _duration(name: str, text: str) -> int:
    try:
        duration = parse_duration(text) if text else 0
    except DurationError as error:
        raise DockerfileError(str(error)) from None
    if duration and duration < _MIN_NS:
        raise DockerfileError(f"Interval {quote(name)} cannot be less than 1ms")
    return duration


def _retries(text: str) -> int:
    if not text:
        return 0
    try:
        retries = parse_int(text, 32)
    except InvalidRequest as error:
        raise DockerfileError(str(error)) from None
    if retries < 0:
        raise DockerfileError(f"--retries cannot be negative ({retries})")
    return retries
