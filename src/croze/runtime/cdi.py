"""Devices that the host's CDI spec files describe, and what a container gets with each.

Source: the Container Device Interface specification, SPEC.md, 0.3 to 1.0. Which of several
devices a name stands for is BuildKit's rule (`solver/llbsolver/cdidevices`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from croze.errors import NotFound
from croze.gotypes.booleans import parse_bool
from croze.runtime.contract import ContainerEdits

log = logging.getLogger(__name__)

CLASS_ANNOTATION = "org.mobyproject.buildkit.device.class"
AUTO_ALLOW_ANNOTATION = "org.mobyproject.buildkit.device.autoallow"
DEFAULT_DIRS = ("/etc/cdi", "/var/run/cdi", "/etc/buildkit/cdi")
MAX_BYTES = 8 << 20
"""A spec file is a few lines; what is larger is something else."""


class _Device(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    annotations: dict[str, str] = {}
    container_edits: ContainerEdits = ContainerEdits()


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    kind: str
    cdi_version: str = ""
    annotations: dict[str, str] = {}
    devices: list[_Device] = []
    container_edits: ContainerEdits = ContainerEdits()


class CdiDevice(msgspec.Struct, frozen=True):
    """A device under its qualified name, `vendor.com/class=name`."""

    name: str
    auto_allowed: bool
    annotations: dict[str, str]
    own: ContainerEdits
    of_all: ContainerEdits
    """The edits for every device of its spec, made once however many of its devices a container
    has."""

    @property
    def kind(self) -> str:
        return self.name.partition("=")[0]


class Devices:
    """What the folders hold now: they are looked at again each time, and read when they changed.
    A later folder's device hides an earlier one's."""

    def __init__(
        self, dirs: Sequence[str] = DEFAULT_DIRS, *, auto_allowed: Iterable[str] = ()
    ) -> None:
        """`auto_allowed`: names and kinds that no build must be granted."""
        self._dirs = tuple(Path(d) for d in dirs)
        self._auto_allowed = frozenset(auto_allowed)
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._known: dict[str, CdiDevice] = {}

    def all(self) -> Sequence[CdiDevice]:
        """Sorted by name."""
        files = [file for folder in self._dirs for file in _spec_files(folder)]
        seen = tuple((str(f), (s := f.stat()).st_mtime_ns, s.st_size) for f in files)
        if seen != self._seen:
            self._known = self._read(files)
            self._seen = seen
        return [self._known[name] for name in sorted(self._known)]

    def _read(self, files: Iterable[Path]) -> dict[str, CdiDevice]:
        devices: dict[str, tuple[Path, CdiDevice]] = {}
        conflicts: set[tuple[Path, str]] = set()
        for file in files:
            for device in self._in_file(file):
                other = devices.get(device.name)
                if other is not None and other[0] == file.parent:
                    log.warning("CDI device %s is described twice in %s", device.name, file.parent)
                    conflicts.add((file.parent, device.name))
                devices[device.name] = (file.parent, device)
        return {name: d for name, (path, d) in devices.items() if (path, name) not in conflicts}

    def _in_file(self, file: Path) -> Iterator[CdiDevice]:
        try:
            spec = _parse(file)
        except (OSError, msgspec.MsgspecError, RecursionError) as error:
            log.warning("CDI spec %s is left out: %s", file, error)
            return
        for device in spec.devices:
            name = f"{spec.kind}={device.name}"
            annotations = {**spec.annotations, **device.annotations}
            yield CdiDevice(
                name,
                self._is_auto_allowed(spec.kind, name, annotations),
                annotations,
                device.container_edits,
                spec.container_edits,
            )

    def _is_auto_allowed(self, kind: str, name: str, annotations: dict[str, str]) -> bool:
        annotation = annotations.get(AUTO_ALLOW_ANNOTATION, "")
        return bool({kind, name} & self._auto_allowed) or parse_bool(annotation) is True

    def find(self, pattern: str, *, optional: bool = False) -> Sequence[CdiDevice]:
        """The devices that a name stands for: one, the first of a kind (`vendor/class`), all of it
        (`vendor/class=*`), or those of a class that annotations name. Raises `NotFound`."""
        devices = self.all()
        kind, _, name = pattern.partition("=")
        matching: list[CdiDevice] = []
        if "/" in kind:
            of_kind = [d for d in devices if d.kind == kind]
            match name:
                case "":
                    matching = of_kind[:1]
                case "*":
                    matching = of_kind
                case _:
                    matching = [d for d in of_kind if d.name == pattern]
        if not matching:
            matching = [d for d in devices if d.annotations.get(CLASS_ANNOTATION) == pattern]
        if not matching and not optional:
            raise NotFound(f'required device "{pattern}" is not registered')
        return matching


def edits(devices: Iterable[CdiDevice]) -> list[ContainerEdits]:
    """All that a container with these devices gets, nothing twice."""
    by_id: dict[int, ContainerEdits] = {}
    for device in devices:
        for one in (device.own, device.of_all):
            by_id.setdefault(id(one), one)
    return list(by_id.values())


def _spec_files(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    paths = (folder / name for name in names if name.endswith((".json", ".yaml", ".yml")))
    return [path for path in paths if path.is_file() and path.stat().st_size <= MAX_BYTES]


def _parse(file: Path) -> _Spec:
    data = file.read_bytes()
    if file.suffix == ".json":
        from croze.gotypes import gojson  # only where a machine has such files

        return gojson.unmarshal(data, type=_Spec, strict=False)
    import yaml  # only where a machine has such files

    try:
        raw: Any = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise msgspec.ValidationError(str(error)) from error
    return msgspec.convert(_plain(raw), _Spec, strict=False)


def _plain(value: Any) -> Any:
    """Annotations are texts, also where YAML sees a number or a truth value."""
    if isinstance(value, dict):
        return {
            key: {k: _text(v) for k, v in inner.items()}
            if key == "annotations" and isinstance(inner, dict)
            else _plain(inner)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
