"""Compose files to groups and targets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from croze.bake.compose.data import Data
from croze.bake.compose.data import Mapping as Model
from croze.bake.compose.decode import undecodable, unsupported_number
from croze.bake.compose.dotenv import DotenvError, parse_dotenv
from croze.bake.compose.merge import plain_text
from croze.bake.compose.model import (
    ComposeError,
    FileOrigin,
    Loader,
    WholeMessageError,
    project_name,
)
from croze.bake.compose.schema import first_problem
from croze.bake.compose.targets import make_target, pairs, undecodable_error
from croze.bake.definition.matrix import check_name
from croze.bake.definition.read import Definition, file_directory
from croze.bake.errors import BakeError
from croze.bake.target import Group
from croze.bake.world import BakeSettings, File, World
from croze.errors import os_reason
from croze.gotypes.quote import quote

_PROJECT_NAME = "COMPOSE_PROJECT_NAME"
_SERVICE_KEYS = ("image", "build", "environment", "env_file")

__all__ = ["ComposeError", "is_compose", "read_compose"]


def is_compose(file: File, settings: BakeSettings, world: World) -> bool:
    """Whether this is a compose file; ComposeError if it may have been one, but makes no sense."""
    name = file.name.lower()
    environment = compose_environment(settings, world)
    try:
        # A file by itself need not be complete: another one may complete it.
        _load([File("", file.data)], environment, world)
    except ComposeError as error:
        if name.endswith((".yml", ".yaml")):
            raise BakeError(str(error)) from None
        raise
    return True


def compose_environment(settings: BakeSettings, world: World) -> dict[str, str]:
    """Variables for interpolation: the environment, what `.env` adds to it, and `--var`;
    ComposeError if `.env` makes no sense."""
    environment = dict(world.environment)
    path = os.path.join(world.directory, ".env")
    try:
        text = world.read(path)
    except OSError:
        text = b""
    try:
        added = parse_dotenv(text.decode("utf-8", "replace"), environment.get, world.warn)
    except DotenvError as error:
        raise ComposeError(str(error)) from None
    return {**added, **environment, **settings.variables}


class _Project(Struct, frozen=True):
    """What builds need of the files; `variables` are each service's own environment."""

    services: Model
    secrets: Model
    variables: Mapping[str, Mapping[str, str | None]]


def _load(files: Sequence[File], environment: Mapping[str, str], world: World) -> _Project:
    default = environment.get(_PROJECT_NAME) or "bake"
    name = project_name(files, environment, world.warn) or default
    environment = {**environment, _PROJECT_NAME: name}
    model = Loader(world, world.warn).load(files, FileOrigin("", environment))
    merged: Model = {}
    if number := unsupported_number(model):
        raise ComposeError(f"json: unsupported value: {number}")
    services = model.get("services", {})
    if isinstance(services, dict):
        services = {name: _service(each) for name, each in services.items()}
    if "services" in model:
        merged["services"] = services
    if "secrets" in model:
        merged["secrets"] = model["secrets"]
    if not merged:
        raise ComposeError("empty compose file")
    problem = first_problem(merged)
    if problem is not None:
        raise ComposeError(problem)
    services = _mapping(services)
    _check_decodable(services)
    variables = {
        name: _variables(_mapping(services[name]), environment, world) for name in sorted(services)
    }
    return _Project(services, _mapping(merged.get("secrets")), variables)


def _service(service: Data) -> Data:
    if service is None:
        return {}
    if not isinstance(service, dict):
        return service
    return {key: service[key] for key in _SERVICE_KEYS if key in service}


def read_compose(
    files: Sequence[File], settings: BakeSettings, world: World, into: Definition
) -> None:
    """Add the targets of the files, and a group of all of them."""
    environment = compose_environment(settings, world)
    try:
        project = _load(files, environment, world)
        _check(project.services, project.secrets)
        _add_targets(project, environment, into)
    except WholeMessageError as error:
        raise BakeError(str(error)) from None
    except ComposeError as error:
        raise BakeError(f"failed to parse compose file: {error}") from None
    except BakeError as error:
        raise error.wrap("failed to parse compose file") from None
    if settings.file_relative_paths:
        _set_bases(file_directory(files[0].name), into)


def _mapping(value: Data) -> Model:
    return value if isinstance(value, dict) else {}


def _check_decodable(services: Model) -> None:
    builds = {name: _mapping(_mapping(each).get("build")) for name, each in services.items()}
    problems = [each for name in sorted(builds) for each in undecodable(name, builds[name])]
    if problems:
        raise undecodable_error(problems)


def _check(services: Model, secrets: Model) -> None:
    """What only a whole project can be wrong about."""
    for name in sorted(services):
        service = _mapping(services[name])
        build = service.get("build")
        if build is None and not service.get("image"):
            detail = "has neither an image nor a build context specified: invalid compose project"
            raise ComposeError(f"service {quote(name)} {detail}")
        details = _mapping(build)
        if details.get("dockerfile_inline") and details.get("dockerfile"):
            detail = "declares mutualy exclusive dockerfile and dockerfile_inline"
            raise ComposeError(f"service {quote(name)} {detail}: invalid compose project")
        for each in _under(details.get("secrets"), "source"):
            if each not in secrets:
                refers = f"refers to undefined build secret {each}: invalid compose project"
                raise ComposeError(f"service {quote(name)} {refers}")
        for added, value in _mapping(details.get("additional_contexts")).items():
            text = plain_text(value)
            if text.startswith("service:"):
                _check_link(name, added, text.removeprefix("service:"), services)
    for name in sorted(secrets):
        secret = _mapping(secrets[name])
        if not (secret.get("external") or secret.get("file") or secret.get("environment")):
            detail = "must declare either `file` or `environment`: invalid compose project"
            raise ComposeError(f"secret {quote(name)} {detail}")


def _under(entries: Data, key: str) -> list[str]:
    """What the entries of a list have under a key; empty where they have nothing."""
    items = entries if isinstance(entries, list) else []
    return [plain_text(each.get(key, "")) for each in items if isinstance(each, dict)]


def _check_link(name: str, added: str, other: str, services: Model) -> None:
    linked = services.get(other)
    link = f"service {quote(other)} as additional contexts {added}"
    if linked is None:
        raise ComposeError(f"service {quote(name)} declares unknown {link}")
    if _mapping(linked).get("build") is None:
        raise ComposeError(f"service {quote(name)} declares non-buildable {link}")


def _add_targets(project: _Project, environment: Mapping[str, str], into: Definition) -> None:
    services = project.services
    if not services:
        return
    group = Group("default")
    for name in sorted(services):
        service = _mapping(services[name])
        build = service.get("build")
        if not isinstance(build, dict):
            continue
        target_name = name.replace(".", "_")
        try:
            check_name(target_name)
        except BakeError as error:
            raise error.wrap(f"invalid service name {quote(target_name)}") from None
        variables = project.variables[name]
        group.targets.append(target_name)
        into.targets.append(
            make_target(target_name, service, build, project.secrets, environment, variables)
        )
    group.has_list = bool(group.targets)
    into.groups.append(group)


def _variables(
    service: Model, environment: Mapping[str, str], world: World
) -> dict[str, str | None]:
    """The service's own environment: its files, and what it says itself."""
    own = {
        name: environment.get(name) if value is None else value
        for name, value in pairs(service.get("environment")).items()
    }
    variables = {name: value for name, value in own.items() if value is not None}

    def lookup(name: str) -> str | None:
        return environment.get(name, variables.get(name))

    entries = service.get("env_file")
    for entry in entries if isinstance(entries, list) else ():
        variables.update(_read_env_file(_mapping(entry), lookup, world))
    return {**variables, **own}


def _read_env_file(
    entry: Model, lookup: Callable[[str], str | None], world: World
) -> Mapping[str, str]:
    path, kind = plain_text(entry.get("path", "")), plain_text(entry.get("format", ""))
    try:
        text = world.read(path)
    except OSError as error:
        reason = os_reason(error)
        if isinstance(error, IsADirectoryError):
            raise WholeMessageError(f"failed to read {path}: read {path}: {reason}") from None
        if not isinstance(error, FileNotFoundError):
            raise WholeMessageError(f"open {path}: {reason}") from None
        if entry.get("required") is False:
            return {}
        raise WholeMessageError(f"env file {path} not found: stat {path}: {reason}") from None
    if kind not in ("", ".env"):
        raise WholeMessageError(f"unsupported env_file format {quote(kind)}")
    try:
        return parse_dotenv(text.decode("utf-8", "replace"), lookup, world.warn)
    except DotenvError as error:
        raise WholeMessageError(f"failed to read {path}: {error}") from None


def _set_bases(base: str, into: Definition) -> None:
    """Paths of compose files are relative to the first of them."""
    if not base:
        return
    for target in into.targets:
        target.bases.default = base
        if target.context is not None:
            target.bases.context = base
        target.bases.contexts = dict.fromkeys(target.contexts or (), base)
