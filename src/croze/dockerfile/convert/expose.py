"""EXPOSE: ports and port ranges."""

from __future__ import annotations

from collections.abc import Iterator

from croze.dockerfile import lint_rules
from croze.dockerfile.convert.build import PlatformBuild
from croze.dockerfile.convert.go_text import list_text
from croze.dockerfile.convert.stage import StageState
from croze.dockerfile.instructions import Expose
from croze.dockerfile.lint import Linter
from croze.dockerfile.location import DockerfileError
from croze.errors import CrozeError
from croze.gotypes.host_port import ip_before_port
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote

_PROTOCOLS = ("tcp", "udp", "sctp")


def dispatch_expose(build: PlatformBuild, stage: StageState, expose: Expose, lint: Linter) -> None:
    """EXPOSE: ports go into the image's config, expanded to single ones."""
    env = stage.state.env
    words = [word for port in expose.ports for word in build.lex.expand_words(port, env)]
    ports = [port for word in words for port in parse_port(word, expose, lint)]
    stage.image.exposed_ports.update(ports)
    stage.commit(f"EXPOSE {list_text(ports)}", epoch=build.epoch)


def parse_port(text: str, expose: Expose, lint: Linter) -> Iterator[str]:
    """`port/protocol` for each port of `[ip:][host:]port[-port][/protocol]`."""
    ip, host, container = _split(text)
    container, protocol = _split_protocol(text, container)
    if protocol != protocol.lower():
        lint.run(lint_rules.EXPOSE_PROTO_CASING, expose.location, text)
    if ip or host:
        lint.run(lint_rules.EXPOSE_INVALID_FORMAT, expose.location, text)
    ip_before_port(ip)
    first, last = _range(container, "containerPort")
    if host:
        host_first, host_last = _range(host, "hostPort")
        if last - first != host_last - host_first and first != last:
            raise DockerfileError(
                f"invalid ranges specified for container and host Ports: {container} and {host}"
            )
    return (f"{port}/{protocol.lower()}" for port in range(first, last + 1))


def _split(text: str) -> tuple[str, str, str]:
    *front, container = text.split(":")
    host = front.pop() if front else ""
    return ":".join(front), host, container


def _split_protocol(text: str, container: str) -> tuple[str, str]:
    port, _, protocol = container.partition("/")
    if not port:
        raise DockerfileError(f"invalid port: {quote(text)}: no port specified")
    if protocol and protocol.lower() not in _PROTOCOLS:
        raise DockerfileError(f"invalid port: {quote(text)}: invalid proto: {protocol}")
    return port, protocol or "tcp"


def _range(text: str, what: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    try:
        first = _port(start)
        last = _port(end) if dash else first
    except CrozeError:
        raise DockerfileError(f"invalid {what}: {text}") from None
    if last < first:
        raise DockerfileError(f"invalid {what}: {text}")
    return first, last


def _port(text: str) -> int:
    port = parse_int(text)
    if not 0 <= port <= 65535:
        raise DockerfileError("value out of range (0–65535)")
    return port
