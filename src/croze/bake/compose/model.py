"""Compose files to one model: documents, includes, extends, merges, paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from croze.bake.compose.canonical import CanonicalError, canonical, resolve_paths, set_defaults
from croze.bake.compose.data import (
    ComposeDocument,
    Data,
    KeyTypeError,
    YamlError,
    decoded,
    load_documents,
)
from croze.bake.compose.data import Mapping as Model
from croze.bake.compose.dotenv import DotenvError, parse_dotenv
from croze.bake.compose.interpolate import Interpolation, InterpolationError
from croze.bake.compose.merge import MergeError, merge, plain_text, removed
from croze.bake.compose.unique import unique
from croze.bake.world import File, World
from croze.errors import os_reason
from croze.gotypes.quote import quote

_MOST_FILES = 1000


class ComposeError(Exception):
    """A compose file makes no sense."""


class WholeMessageError(ComposeError):
    """A `ComposeError` whose message is shown as it is."""


class FileOrigin(Struct, frozen=True):
    """Where a file's content comes from and what it may use."""

    directory: str
    environment: Mapping[str, str]
    included: tuple[str, ...] = ()


_WRONG = (YamlError, KeyTypeError, InterpolationError, MergeError, CanonicalError, DotenvError)


def _unopened(path: str, error: OSError) -> str:
    return f"open {path}: {os_reason(error)}"


def _env_file_fault(path: str, error: OSError) -> str:
    """What compose-go says of an included project's file of variables. It looks for one with a
    relative path twice."""
    match error:
        case FileNotFoundError() if os.path.isabs(path):
            return f"couldn't find env file: {path}"
        case FileNotFoundError():
            return f"stat {path}: {os_reason(error)}"
        case IsADirectoryError():
            return f"{path} is {'a directory' if os.path.isabs(path) else 'not a file'}"
        case _:
            return _unopened(path, error)


class Loader(Struct):
    """Loads files; `warn` hears of variables that are not set."""

    world: World
    warn: Callable[[str], None]
    files_read: int = 0
    bases: dict[str, Model] = field(default_factory=dict)

    def load(self, files: Sequence[File], source: FileOrigin) -> Model:
        """The merged model of all files; ComposeError with what is wrong."""
        try:
            model: Model = {}
            for file in files:
                model = self._file(file, source, model)
            set_defaults(model)
            resolve_paths(model, source.directory, self.world.home)
            return model
        except _WRONG as error:
            raise ComposeError(str(error)) from None

    def _read(self, path: str, fault: Callable[[str, OSError], str] = _unopened) -> bytes:
        self.files_read += 1
        if self.files_read > _MOST_FILES:
            raise ComposeError("compose files refer to too many others")
        try:
            return self.world.read(path)
        except OSError as error:
            raise ComposeError(fault(path, error)) from None

    def _documents(self, file: File) -> list[ComposeDocument]:
        try:
            return list(load_documents(decoded(file.data)))
        except YamlError as error:
            raise YamlError(f"failed to parse {file.name}: {error}") from None

    def _file(self, file: File, source: FileOrigin, model: Model) -> Model:
        for document in self._documents(file):
            data = self._interpolated(document, source)
            model = self._include(data, file, source, model)
            model = _as_model(removed(model, document.removed))
            self._extend_all(data, file.name, source)
            model = _as_model(canonical(unique(merge(model, data)), self.warn))
            model = _as_model(unique(model))
        return model

    def _interpolated(self, document: ComposeDocument, source: FileOrigin) -> Model:
        if not isinstance(document.data, dict):
            raise ComposeError("top-level object must be a mapping")
        return Interpolation(source.environment.get, self.warn).document(document.data)

    def _include(self, data: Model, file: File, source: FileOrigin, model: Model) -> Model:
        included = data.pop("include", None)
        if included is None:
            return model
        if not isinstance(included, list):
            raise ComposeError(f"`include` must be a list, got {included}")
        for each in included:
            entry: Data = {"path": each} if isinstance(each, str) else each
            if isinstance(entry, dict):
                model = self._include_one(entry, file, source, model)
        return model

    def _include_one(self, entry: Model, file: File, source: FileOrigin, model: Model) -> Model:
        paths = [_joined(source.directory, each) for each in _texts(entry.get("path"))]
        if not paths:
            return model
        chain = (*source.included, file.name)
        if paths[0] in chain:
            steps = "\n include ".join((*chain[1:], paths[0]))
            raise ComposeError(f"include cycle detected:\n{chain[0]}\n include {steps}")
        project = entry.get("project_directory")
        if isinstance(project, str) and project:
            directory = _joined(source.directory, project)
        else:
            directory = os.path.dirname(paths[0])
        environment = self._include_environment(entry, directory, source)
        inner = FileOrigin(directory, environment, chain)
        files = [File(path, self._read(path)) for path in paths]
        imported = self.load(files, inner)
        for key in ("services", "secrets"):
            model = _import(model, imported, key)
        return model

    def _include_environment(
        self, entry: Model, directory: str, source: FileOrigin
    ) -> Mapping[str, str]:
        """Variables of the files that it names, of which each may use those of the ones before."""
        environment: dict[str, str] = {}

        def lookup(name: str) -> str | None:
            return source.environment.get(name, environment.get(name))

        for path, text in self._env_files(entry, directory, source):
            try:
                variables = parse_dotenv(text.decode("utf-8", "replace"), lookup, self.warn)
            except DotenvError as error:
                path = os.path.join(self.world.directory, path)
                raise DotenvError(f"failed to read {path}: {error}") from None
            environment.update(variables)
        return {**environment, **source.environment}

    def _env_files(
        self, entry: Model, directory: str, source: FileOrigin
    ) -> Sequence[tuple[str, bytes]]:
        names = _texts(entry.get("env_file"))
        if names:
            paths = [_joined(source.directory, name) for name in names if name != "/dev/null"]
            return [(path, self._read(path, _env_file_fault)) for path in paths]
        path = os.path.join(directory, ".env")
        try:
            return [(path, self.world.read(path))]
        except OSError:
            return []

    def _extend_all(self, data: Model, name: str, source: FileOrigin) -> None:
        services = data.get("services")
        if services is None:
            return
        if not isinstance(services, dict):
            raise ComposeError("services must be a mapping")
        for service in list(services):
            services[service] = self._extended(service, services, name, source, ())

    def _extended(
        self, name: str, services: Model, file: str, source: FileOrigin, chain: tuple[str, ...]
    ) -> Data:
        """A service over the one that it extends."""
        service = services[name]
        if service is None:
            return None
        if not isinstance(service, dict):
            raise ComposeError(f"services.{name} must be a mapping")
        extends = service.get("extends")
        if extends is None:
            return service
        here = f"{name} in {file}"
        if here in chain:
            steps = "\n  extends ".join((*chain[1:], here))
            raise ComposeError(f"Circular reference:\n  {chain[0]}\n  extends {steps}")
        base_name, base_file = _reference(name, extends)
        base_services, base_source = services, source
        if base_file is not None:
            base_services = self._base(name, base_name, file, base_file, source)
            file = base_file
        elif base_name not in services:
            missing = f"service {quote(base_name)} not found"
            raise ComposeError(f"cannot extend service {quote(name)} in {file}: {missing}")
        base = self._extended(base_name, base_services, file, base_source, (*chain, here))
        if base is None:
            return service
        merged = _as_model(merge(base, service, ("services", "x")))
        merged.pop("extends", None)
        services[name] = merged
        return merged

    def _base(self, name: str, base: str, file: str, path: str, source: FileOrigin) -> Model:
        """The services of a file that one extends from."""
        full = _joined(source.directory, path)
        services_there = self.bases.get(full)
        if services_there is None:
            loaded: Model = {}
            base_file = File(full, self._read(full))
            for document in self._documents(base_file):
                data = self._interpolated(document, source)
                loaded = _as_model(canonical(unique(merge(loaded, data)), self.warn))
            where = f"cannot extend service {quote(name)} in {full}"
            services = loaded.get("services")
            if services is None:
                raise ComposeError(f"{where}: no services section")
            if not isinstance(services, dict):
                raise ComposeError(f"{where}: services must be a mapping")
            directory = os.path.relpath(os.path.dirname(full) or ".", source.directory or ".")
            resolve_paths(loaded, directory, self.world.home)
            services_there = _as_model(loaded["services"])
            self.bases[full] = services_there
        if base not in services_there:
            missing = f"service {quote(base)} not found in {path}"
            raise ComposeError(f"cannot extend service {quote(name)} in {file}: {missing}")
        return dict(services_there)


def project_name(
    files: Sequence[File], environment: Mapping[str, str], warn: Callable[[str], None]
) -> str:
    """The name that the last file with one gives the project; "" if none does. Raises
    `ComposeError` for a name that can't be interpolated."""
    name = ""
    for file in files:
        try:
            for document in load_documents(decoded(file.data)):
                if not isinstance(document.data, dict | None):
                    break
                name = _name(document.data) or name
        except (YamlError, KeyTypeError):
            continue  # told of when the file is loaded
    try:
        read = Interpolation(environment.get, warn).document({"name": name})
    except InterpolationError as error:
        raise ComposeError(str(error)) from None
    return plain_text(read["name"])


def _name(document: Data) -> str:
    name = document.get("name") if isinstance(document, dict) else None
    return "" if name is None or isinstance(name, list | dict) else plain_text(name)


def _reference(name: str, extends: Data) -> tuple[str, str | None]:
    """The service that one extends, and the file it is in if it is another one."""
    if isinstance(extends, str):
        return extends, None
    service = extends.get("service") if isinstance(extends, dict) else None
    file = extends.get("file") if isinstance(extends, dict) else None
    if not isinstance(service, str):
        raise ComposeError(f"extends.{name}.service is required")
    return service, file if isinstance(file, str) else None


def _import(model: Model, imported: Model, key: str) -> Model:
    """What an included file defines; what is there already must be the same."""
    shared = imported.get(key)
    if not isinstance(shared, dict):
        return model
    own = model.get(key)
    merged = dict(own) if isinstance(own, dict) else {}
    for name, each in shared.items():
        if name in merged and merged[name] != each:
            raise ComposeError(f"{key}.{name} conflicts with imported resource")
        merged[name] = each
    return {**model, key: merged}


def _joined(directory: str, path: str) -> str:
    return os.path.normpath(os.path.join(directory, path))


def _texts(value: Data) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _as_model(value: Data) -> Model:
    return value if isinstance(value, dict) else {}
