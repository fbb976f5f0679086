"""`--secret`, `--ssh`, `--build-context`, `--allow`: what a build is lent and granted.

Grammar: buildx `util/buildflags/{secrets,ssh,context,entitlements}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from croze.client.plan import AgentFrom, SecretFrom
from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.booleans import checked_bool
from croze.gotypes.letters import to_lower
from croze.gotypes.quote import quote


def parse_secrets(values: Iterable[str]) -> list[SecretFrom]:
    """The secrets of `--secret` flags; empty ones are none. Raises `InvalidRequest`."""
    return [_parse_secret(text) for text in values if text]


def _parse_secret(text: str) -> SecretFrom:
    attrs = {"id": "", "path": "", "env": ""}
    type = ""
    try:
        parts = csv_line.fields(text)
    except InvalidRequest as error:
        raise error.wrap("failed to parse csv secret") from None
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid field '{part}' must be a key=value pair")
        match to_lower(key):
            case "type":
                if value not in ("file", "env"):
                    raise InvalidRequest(f"unsupported secret type {quote(value)}")
                type = value
            case "source" | "src":
                attrs["path"] = value
            case "id" | "env" as name:
                attrs[name] = value
            case name:
                raise InvalidRequest(f"unexpected key '{name}' in '{part}'")
    if type == "env" and not attrs["env"]:
        attrs["env"], attrs["path"] = attrs["path"], ""
    return SecretFrom(attrs["id"], attrs["path"], attrs["env"])


def parse_ssh(values: Iterable[str], *, knows_raw: bool = False) -> list[AgentFrom]:
    """`id`, or `id=path[,path…]`; buildctl knows `raw=true`, too, buildx doesn't."""
    agents: list[AgentFrom] = []
    for text in values:
        if text:
            id, equals, paths = text.partition("=")
            entries = paths.split(",") if equals else []
            raw = [each for each in entries if knows_raw and each.startswith("raw=")]
            sockets = tuple(each for each in entries if each not in raw)
            agents.append(AgentFrom(id, sockets, raw=bool(raw) and _truth(raw[-1])))
            if agents[-1].raw and len(sockets) != 1:
                message = f"raw mode must supply exactly one socket path for {quote(id)}"
                raise InvalidRequest(message)
    return agents


def _truth(field: str) -> bool:
    value = field.removeprefix("raw=")
    return checked_bool(value, f"invalid value for 'raw': {value}")


def parse_contexts(values: Iterable[str]) -> dict[str, str]:
    """`name=value`; the name is a familiar image reference, without `:latest`."""
    from croze.image import reference

    contexts: dict[str, str] = {}
    for text in values:
        if not text:
            continue
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid context value: {text}, expected key=value")
        try:
            named = reference.parse(name)
        except InvalidRequest as error:
            raise error.wrap(f"invalid context name {name}") from None
        contexts[named.familiar().removesuffix(":latest")] = value
    return contexts


ENTITLEMENTS = frozenset(("network.host", "security.insecure", "device"))
LOCAL_DELETE = "buildx.local.delete"


class AllowedPrivileges(Struct, frozen=True):
    """What `--allow` flags grant."""

    entitlements: tuple[str, ...] = ()
    local_delete: bool = False
    """Whether a local export may remove files."""


def parse_allow(values: Iterable[str]) -> AllowedPrivileges:
    """What `--allow` grants. Raises `InvalidRequest` for an entitlement that there is none of."""
    granted: list[str] = []
    local_delete = False
    for text in values:
        key, equals, _ = text.partition("=")
        if key == LOCAL_DELETE:
            if equals:
                raise InvalidRequest(f"{LOCAL_DELETE} does not accept a value")
            local_delete = True
        elif text:
            name = key if key == "device" else text
            if key == "device":
                _check_device(text.partition("=")[2])
            if name not in ENTITLEMENTS:
                raise InvalidRequest(f"unknown entitlement {name}")
            granted.append(text)
    return AllowedPrivileges(tuple(granted), local_delete)


def _check_device(text: str) -> None:
    """`name[,alias=…]`."""
    for field in csv_line.fields(text)[1:] if text else ():
        key, equals, _ = field.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid device config {quote(field)}")
        if key != "alias":
            raise InvalidRequest(f"unknown device config key {quote(key)}")
