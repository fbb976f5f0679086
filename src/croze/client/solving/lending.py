"""What a plan lends, as the session's providers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from croze.client import plan as plans
from croze.errors import InvalidRequest
from croze.session.directories import make_directory
from croze.session.hostdir import HostDirProvider, LocalTarget
from croze.session.lent_service import LentService
from croze.session.providers.auth import AuthProvider
from croze.session.providers.content import ContentProvider
from croze.session.providers.files import FilesProvider, LentDir
from croze.session.providers.secrets import SecretSource, SecretsProvider
from croze.session.providers.ssh import AgentSource, SshProvider
from croze.session.providers.targets import (
    DirTarget,
    FdOutput,
    FileOutput,
    FileTarget,
    OpenOutput,
    TargetFile,
    TargetsProvider,
)
from croze.session.providers.upload import UploadProvider

EXPORT_STORE = "export"


class Lending:
    """The providers of one solve. Close it when the session is over."""

    def __init__(self, plan: plans.SolvePlan, *, beside_us: bool = False) -> None:
        dirs = {name: _resolved(local) for name, local in plan.local_dirs.items()}
        targets = {
            id: target
            for id, export in enumerate(plan.exports)
            if (target := _target(export)) is not None
        }
        self._ssh = SshProvider([AgentSource(a.id, a.paths, a.raw) for a in plan.ssh])
        self.providers: list[LentService] = [
            SecretsProvider([SecretSource(s.id, s.path, s.env, s.value) for s in plan.secrets]),
            self._ssh,
        ]
        files = TargetsProvider(targets)
        if beside_us:
            lent = {name: local.path for name, local in dirs.items() if not local.exclude}
            self.providers.append(HostDirProvider(lent, _host_targets(targets), files))
        if plan.docker_auth:
            self.providers.append(AuthProvider(tls=plan.token_tls, log=plan.lending_log))
        if dirs:
            self.providers.append(FilesProvider(dirs))
        if targets:
            self.providers.append(files)
        if plan.uploads:
            self.providers.append(UploadProvider(plan.uploads))
        to_read, to_write = _stores_to_read(plan), _stores_to_write(plan)
        if to_read or to_write:
            self.providers.append(ContentProvider(to_read | to_write, to_write))

    def close(self) -> None:
        """Let go of agents and keys."""
        self._ssh.close()


def check_lendable(plan: plans.SolvePlan) -> None:
    """See that what a plan lends is there: secrets, agents and keys. Raises `InvalidRequest`."""
    Lending(plan).close()


def _resolved(local: plans.LocalDir) -> LentDir:
    return LentDir(Path(os.path.realpath(local.path)), local.exclude)


def _target(export: plans.Export) -> FileTarget | DirTarget | None:
    match export.to:
        case plans.ToDir(path, delete_extra):
            return DirTarget(Path(os.path.realpath(path)), delete_extra)
        case plans.ToFile(path):
            return FileTarget(_opens_file(path))
        case plans.ToFd(fd):
            return FileTarget(lambda _: FdOutput(fd))
        case plans.ToDocker() as engine:
            return FileTarget(_opens_docker(engine))
        case _:
            return None


def _opens_file(path: Path) -> OpenOutput:
    def open_output(metadata: Mapping[str, str]) -> TargetFile:
        return FileOutput(path)

    return open_output


def _opens_docker(engine: plans.ToDocker) -> OpenOutput:
    def open_output(metadata: Mapping[str, str]) -> TargetFile:
        from croze.client.docker.load import ImageLoad

        names = metadata.get("image.name", "").split(",") if engine.one_name else ()
        return ImageLoad(engine.context, names)

    return open_output


def _host_targets(targets: Mapping[int, FileTarget | DirTarget]) -> dict[int, LocalTarget]:
    return {
        id: LocalTarget(target.path, target.delete_extra)
        for id, target in targets.items()
        if isinstance(target, DirTarget)
    }


def _stores_to_read(plan: plans.SolvePlan) -> dict[str, Path]:
    """Content stores by the ids that BuildKit uses for them."""
    layouts = {f"oci:{id}": path for id, path in plan.layouts.items()}
    return layouts | {f"local:{path}": Path(path) for path in local_caches(plan.cache_from, "src")}


def _stores_to_write(plan: plans.SolvePlan) -> dict[str, Path]:
    """Content stores in which the daemon leaves something."""
    stores = {f"local:{path}": Path(path) for path in local_caches(plan.cache_to, "dest")}
    for export in plan.exports:
        if isinstance(export.to, plans.ToLayout):
            if EXPORT_STORE in stores:
                raise InvalidRequest(f'oci store key "{EXPORT_STORE}" already exists')
            make_directory(export.to.path, 0o755)
            stores[EXPORT_STORE] = export.to.path
    return stores


def local_caches(entries: Sequence[plans.CacheSpec], key: str) -> list[str]:
    """The directories of caches of the type `local`, by the attribute that has them."""
    return [entry.attrs[key] for entry in entries if entry.type == "local"]
