"""Short forms of compose files become long ones, and relative paths become those of the project."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from croze.bake.compose.data import Data, Mapping
from croze.bake.compose.merge import plain_text, type_name
from croze.bake.compose.moments import Moment
from croze.bake.compose.ports import container_ports
from croze.bake.compose.unique import verb_s
from croze.bake.compose.volumes import mount_target
from croze.errors import InvalidRequest
from croze.gotypes.quote import quote

_REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@")


class CanonicalError(Exception):
    """A short form that is none."""


def canonical(model: Data, warn: Callable[[str], None]) -> Data:
    """The model in long forms; `warn` hears of those that are out of use."""
    if not isinstance(model, dict):
        return model
    long = dict(model)
    services = model.get("services")
    if isinstance(services, dict):
        long["services"] = {name: _service(name, each) for name, each in services.items()}
    for kind in ("volumes", "networks", "secrets", "configs"):
        resources = model.get(kind)
        if isinstance(resources, dict):
            long[kind] = {
                name: _maybe_external(f"{kind}.{name}", each, warn)
                for name, each in resources.items()
            }
    return long


def _service(name: str, service: Data) -> Data:
    if not isinstance(service, dict):
        return service
    where = f"services.{name}"
    canonical = dict(service)
    for key, one in _SERVICE_KEYS.items():
        if key in canonical:
            canonical[key] = one(f"{where}.{key}", canonical[key])
    return canonical


def _env_files(where: str, value: Data) -> Data:
    if isinstance(value, str) and not isinstance(value, Moment):
        value = [value]
    if not isinstance(value, list):
        raise CanonicalError(f"{where}: invalid type {type_name(value)} for env_file")
    return [_env_file(each) for each in value]


def _volume(where: str, volume: Data) -> Data:
    if isinstance(volume, str) and not isinstance(volume, Moment):
        mount_target(volume)
    elif not isinstance(volume, dict):
        raise CanonicalError(f"{where}: invalid type {type_name(volume)} for service volume mount")
    return volume


def _device(where: str, device: Data) -> Data:
    if isinstance(device, str) and not isinstance(device, Moment):
        if device.count(":") > 2:
            shown = f"confusing device mapping, please use long syntax: {device}"
            raise CanonicalError(shown)
    elif not isinstance(device, dict):
        raise CanonicalError(f"{where}: invalid type {type_name(device)} for service volume mount")
    return device


def _depends_on(where: str, value: Data) -> Data:
    if isinstance(value, dict):
        for name, each in value.items():
            if not isinstance(each, dict):
                raise CanonicalError(f"{where}.{name}: unsupported value {verb_s(value)}")
    elif not isinstance(value, list):
        raise CanonicalError(f"{where}: invalid type {type_name(value)} for depend_on")
    return value


def _gpus(where: str, value: Data) -> Data:
    if isinstance(value, str | list) and not isinstance(value, Moment):
        return value
    raise CanonicalError(f"{where}: invalid type {type_name(value)} for gpus")


def _ports(where: str, ports: Data) -> Data:
    if not isinstance(ports, list):
        raise CanonicalError(f"{where}: invalid type {type_name(ports)} for port")
    count = 0
    for each in ports:
        if isinstance(each, dict):
            count += 1
            continue
        if isinstance(each, bool) or not isinstance(each, str | int):
            raise CanonicalError(f"{where}: invalid type {type_name(each)} for port")
        try:
            inside = container_ports(str(each))
        except InvalidRequest as error:
            raise CanonicalError(str(error)) from None
        if inside[0] == 0:
            raise CanonicalError(f"service ports {where}.[{count}] is missing a target port")
        count += len(inside)
    return ports


def _env_file(entry: Data) -> Data:
    if isinstance(entry, str):
        return {"path": entry, "required": True}
    return {"required": True, **entry} if isinstance(entry, dict) else entry


def _build(where: str, build: Data) -> Data:
    if isinstance(build, str) and not isinstance(build, Moment):
        return {"context": build}
    if not isinstance(build, dict):
        raise CanonicalError(f"{where}: invalid type {type_name(build)} for build")
    canonical = dict(build)
    canonical["secrets"] = _each(f"{where}.secrets", canonical.get("secrets"), _grant)
    canonical["ulimits"] = _each(f"{where}.ulimits", canonical.get("ulimits"), _limit)
    for key in ("secrets", "ulimits"):
        if key not in build:
            del canonical[key]
    for key in ("provenance", "sbom"):
        if key in canonical:
            canonical[key] = plain_text(canonical[key])
    if "additional_contexts" in canonical:
        contexts = canonical["additional_contexts"]
        canonical["additional_contexts"] = _pairs(f"{where}.additional_contexts", contexts)
    if "ssh" in canonical:
        canonical["ssh"] = _ssh(f"{where}.ssh", canonical["ssh"])
    return canonical


def _each(where: str, value: Data, one: Callable[[str, Data], Data]) -> Data:
    """What becomes of each member of a mapping or a list."""
    if isinstance(value, dict):
        return {key: one(f"{where}.{key}", each) for key, each in value.items()}
    if isinstance(value, list):
        return [one(f"{where}.[]", each) for each in value]
    return value


def _grant(where: str, secret: Data) -> Data:
    if isinstance(secret, dict):
        return secret
    if isinstance(secret, str) and not isinstance(secret, Moment):
        return {"source": secret}
    raise CanonicalError(f"{where}: unsupported type {type_name(secret)}")


def _limit(where: str, limit: Data) -> Data:
    if isinstance(limit, dict) or type_name(limit) == "int":
        return limit
    raise CanonicalError(f"{where}: invalid type {type_name(limit)} for external")


def _list(value: Data) -> list[Data]:
    return value if isinstance(value, list) else []


def _pairs(where: str, value: Data) -> Data:
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise CanonicalError(f"{where}: invalid type {type_name(value)}")
    pairs: Mapping = {}
    for each in value:
        if not isinstance(each, str):
            raise CanonicalError(f"invalid type {type_name(each)} for key value pair")
        key, equals, text = each.partition("=")
        if not equals:
            raise CanonicalError(f"{where}: invalid value {each}, expected key=value")
        pairs[key] = text
    return pairs


def _ssh(where: str, value: Data) -> Data:
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise CanonicalError(f"{where}: invalid type {type_name(value)} for ssh")
    keys: Mapping = {}
    for each in value:
        if not isinstance(each, str):
            raise CanonicalError(f"invalid ssh key type {type_name(each)}")
        id_, equals, path = each.partition("=")
        if not equals and id_ != "default":
            raise CanonicalError(f"invalid ssh key {quote(each)}")
        keys[id_] = path if equals else None
    return keys


def _members(one: Callable[[str, Data], Data]) -> Callable[[str, Data], Data]:
    return lambda where, value: _each(where, value, one)


_SERVICE_KEYS: Final[dict[str, Callable[[str, Data], Data]]] = {
    "build": _build,
    "configs": _members(_grant),
    "depends_on": _depends_on,
    "devices": _members(_device),
    "env_file": _env_files,
    "gpus": _gpus,
    "ports": _ports,
    "secrets": _members(_grant),
    "ulimits": _members(_limit),
    "volumes": _members(_volume),
}


def _maybe_external(where: str, resource: Data, warn: Callable[[str], None]) -> Data:
    """`external: {name: x}` is `external: true` and a name."""
    external = resource.get("external") if isinstance(resource, dict) else None
    if not isinstance(resource, dict) or not isinstance(external, dict):
        return resource
    long: Mapping = {**resource, "external": True}
    if "name" in external:
        warn(f"{where}: external.name is deprecated. Please set name and external: true")
        if resource.get("name", external["name"]) != external["name"]:
            raise CanonicalError(f"{where}: name and external.name conflict; only use name")
        long["name"] = external["name"]
    return long


def set_defaults(model: Mapping) -> None:
    """Builds without a context have the project's directory."""
    services = model.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        build = service.get("build") if isinstance(service, dict) else None
        if isinstance(build, dict):
            build.setdefault("context", ".")


def resolve_paths(model: Mapping, directory: str, home: Callable[[], str]) -> None:
    """Make paths those that they are relative to the directory."""
    services = model.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        if isinstance(service, dict):
            _resolve_service(service, directory, home)
    secrets = model.get("secrets")
    for secret in secrets.values() if isinstance(secrets, dict) else ():
        if isinstance(secret, dict) and isinstance(secret.get("file"), str):
            secret["file"] = _resolved(str(secret["file"]), directory, home)


def _resolve_service(service: Mapping, directory: str, home: Callable[[], str]) -> None:
    for entry in _list(service.get("env_file")):
        if isinstance(entry, dict) and isinstance(entry.get("path"), str):
            entry["path"] = _resolved(str(entry["path"]), directory, home)
    extends = service.get("extends")
    if isinstance(extends, dict) and isinstance(extends.get("file"), str):
        extends["file"] = _resolved(str(extends["file"]), directory, home)
    build = service.get("build")
    if not isinstance(build, dict):
        return
    if isinstance(build.get("context"), str):
        build["context"] = _context(str(build["context"]), directory, home)
    contexts = build.get("additional_contexts")
    if isinstance(contexts, dict):
        for name, each in contexts.items():
            if isinstance(each, str):
                contexts[name] = _context(each, directory, home)
    keys = build.get("ssh")
    if isinstance(keys, dict):
        for name, each in keys.items():
            if isinstance(each, str):
                keys[name] = _resolved(each, directory, home)


def _context(path: str, directory: str, home: Callable[[], str]) -> str:
    if "://" in path or path.startswith(("service:", *_REMOTE)):
        return path
    return _resolved(path, directory, home)


def _resolved(path: str, directory: str, home: Callable[[], str]) -> str:
    if path == "~" or path.startswith("~/"):
        path = home() + path[1:]
    if not path or os.path.isabs(path):
        return os.path.normpath(path) if path else path
    return os.path.normpath(os.path.join(directory, path))
