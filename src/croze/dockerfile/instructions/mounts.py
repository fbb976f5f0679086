"""`RUN --mount` and `RUN --device`: comma-separated `key=value` lists."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeGuard

from msgspec import Struct

from croze.dockerfile.instructions.values import MountType, RunDevice, RunMount
from croze.dockerfile.location import DockerfileError
from croze.dockerfile.suggest import with_suggestion
from croze.errors import InvalidRequest
from croze.gotypes import csv_line
from croze.gotypes.quote import quote
from croze.patterns import lazy_pattern

_TYPES = ("bind", "cache", "secret", "ssh", "tmpfs")
_SHARING = ("locked", "private", "shared")
_MOUNT_KEYS = (
    *("type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode"),
    *("uid", "gid", "src", "dst", "destination", "ro", "rw", "readwrite", "env"),
)
_BOOLS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}
_NUMBER = lazy_pattern(r"\+?(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_UNITS = "kmgtp"


def parse_mount(flag: str, expander: Callable[[str], str] | None) -> RunMount:
    """One mount. Without an expander only `from` is read (it takes no variables), which is what is
    known before the variables are; the rest is read, and checked, with one."""
    draft = _Draft()
    for field in _fields(flag, "mounts"):
        key, equals, value = field.partition("=")
        key = key.lower()
        if expander is None:
            if key == "from" and equals:
                draft.from_ = _constant(key, value)
        elif not equals:
            draft.set_bare(key, field)
        else:
            draft.set(key, expander(value), field)
    return draft.finish()


def _constant(key: str, value: str) -> str:
    at = value.find("$")
    if at not in (-1, len(value) - 1):
        raise DockerfileError(
            f"'{key}' doesn't support variable expansion, define alias stage instead"
        )
    return value


class _Draft(Struct):
    """A mount being read. `readonly` is None until it is said."""

    type: MountType = "bind"
    from_: str = ""
    source: str = ""
    target: str = ""
    readonly: bool | None = None
    size_bytes: int = 0
    id: str = ""
    sharing: str = ""
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    def set_bare(self, key: str, field: str) -> None:
        """A key without a value."""
        match key:
            case "readonly" | "ro":
                self.readonly = True
            case "readwrite" | "rw":
                self.readonly = False
            case "required":
                self._only(key, "secret", "ssh")
                self.required = True
            case _:
                raise DockerfileError(f"invalid field '{field}' must be a key=value pair")

    def set(self, key: str, value: str, field: str) -> None:
        match key:
            case "type":
                self.type = _mount_type(value)
            case "from":
                self.from_ = value
            case "source" | "src":
                self.source = value
            case "target" | "dst" | "destination":
                self.target = value
            case "readonly" | "ro":
                self.readonly = _bool(key, value)
            case "readwrite" | "rw":
                self.readonly = not _bool(key, value)
            case "id":
                self.id = value
            case "env":
                self.env = value
            case _:
                self._set_special(key, value, field)

    def _set_special(self, key: str, value: str, field: str) -> None:
        match key:
            case "required":
                self._only(key, "secret", "ssh")
                self.required = _bool(key, value)
            case "size":
                self._only(key, "tmpfs")
                self.size_bytes = _size(key, value)
            case "sharing":
                self.sharing = _sharing(value)
            case "mode":
                self.mode = _number(key, value, 8)
            case "uid":
                self.uid = _number(key, value, 10)
            case "gid":
                self.gid = _number(key, value, 10)
            case _:
                message = f"unexpected key '{key}' in '{field}'"
                raise DockerfileError(
                    with_suggestion(message, key, _MOUNT_KEYS, case_sensitive=True)
                )

    def _only(self, key: str, *types: str) -> None:
        if self.type not in types:
            raise DockerfileError(f"unexpected key '{key}' for mount type '{self.type}'")

    def finish(self) -> RunMount:
        self._check_owner()
        if self.type == "secret":
            self._check_secret()
        if self.sharing and self.type != "cache":
            raise DockerfileError(f"invalid cache sharing set for {self.type} mount")
        readonly = self.readonly
        if readonly is None:
            readonly = self.type not in ("cache", "tmpfs")
        return RunMount(
            type=self.type,
            from_=self.from_,
            source=self.source,
            target=self.target,
            readonly=readonly,
            size_bytes=self.size_bytes,
            id=self.id,
            sharing=self.sharing,
            required=self.required,
            env=self.env,
            mode=self.mode,
            uid=self.uid,
            gid=self.gid,
        )

    def _check_owner(self) -> None:
        if self.type in ("secret", "ssh", "cache"):
            return
        for key, value in (("mode", self.mode), ("uid", self.uid), ("gid", self.gid)):
            if value is not None:
                raise DockerfileError(f"{key} not allowed for {quote(self.type)} type mounts")

    def _check_secret(self) -> None:
        if self.from_:
            raise DockerfileError("secret mount should not have a from")
        if self.sharing:
            raise DockerfileError("secret mount should not define sharing")
        if not (self.source or self.target or self.id):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if self.source and self.id:
            raise DockerfileError("both source and id can't be set")


def parse_device(flag: str) -> RunDevice:
    """One device: its name, plain or as `name=`, and `required`."""
    name, required = "", False
    for field in _fields(flag, "devices"):
        key, equals, value = field.partition("=")
        key = key.lower()
        if key == "name" and equals:
            if name:
                raise DockerfileError(f"device name already set to {name}")
            name = value
        elif key == "required":
            required = _bool(key, value) if equals else True
        elif not name:
            name = field
        elif not equals:
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")
        else:
            message = f"unexpected key '{key}' in '{field}'"
            raise DockerfileError(
                with_suggestion(message, key, ("name", "required"), case_sensitive=True)
            )
    return RunDevice(name, required)


def _fields(flag: str, what: str) -> list[str]:
    try:
        return csv_line.fields(flag)
    except InvalidRequest as err:
        raise DockerfileError(f"failed to parse csv {what}: {err}") from None


def _is_type(value: str) -> TypeGuard[MountType]:
    return value in _TYPES


def _mount_type(value: str) -> MountType:
    lower = value.lower()
    if _is_type(lower):
        return lower
    message = f"unsupported mount type {quote(value)}"
    raise DockerfileError(with_suggestion(message, value, _TYPES, case_sensitive=True))


def _sharing(value: str) -> str:
    if value.lower() in _SHARING:
        return value.lower()
    message = f"unsupported sharing value {quote(value)}"
    raise DockerfileError(with_suggestion(message, value, _SHARING, case_sensitive=True))


def _bool(key: str, value: str) -> bool:
    if value not in _BOOLS:
        raise DockerfileError(f"invalid value for {key}: {value}")
    return _BOOLS[value]


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if value and len(value) < 40 and not value.strip(digits):
        number = int(value, base)
        if number < 1 << 32:
            return number
    raise DockerfileError(f"invalid value {value} for {key}")


def _size(key: str, value: str) -> int:
    """Bytes from `64m`, `1.5GiB` and the like; units are powers of 1024."""
    at = max(value.rfind(c) for c in "0123456789. ")
    number = value[: at + 1].removesuffix(" ") if at >= 0 else ""
    factor = _factor(value[at + 1 :].lower())
    if not _NUMBER.fullmatch(number) or factor is None or math.isinf(float(number)):
        raise DockerfileError(f"invalid value for {key}: {value}")
    return int(float(number) * factor)


def _factor(suffix: str) -> int | None:
    if suffix in ("", "b"):
        return 1
    if suffix[0] in _UNITS and suffix[1:] in ("", "b", "ib"):
        return int(1024 ** (_UNITS.index(suffix[0]) + 1))
    return None
