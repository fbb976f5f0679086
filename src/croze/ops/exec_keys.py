"""How an exec is cached: the cache map of `ExecOp` (golden `cache/README.md`, 2.3 and 2.4)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from google.protobuf import text_format
from msgspec import Struct, field

from croze.api import ops_pb2
from croze.cachekeys.texts import noted_digest, noted_list_digest
from croze.errors import InvalidRequest
from croze.fs.content.checksum import Query
from croze.gotypes import messages
from croze.image.platform import Platform
from croze.ops.content import ContentDigests, ContentKey, dedupe_paths, unlazy
from croze.ops.validate import EMPTY, ROOT, SKIP_OUTPUT
from croze.solver.contract import CacheMap, InputKeying

CACHE_TYPE = "buildkit.exec.v0"
_WITHOUT_CONTENT = (ops_pb2.SECRET, ops_pb2.SSH, ops_pb2.TMPFS)


def cache_map(
    exec_op: ops_pb2.ExecOp, platform: Platform, input_count: int, contents: ContentDigests
) -> CacheMap:
    """The cache map of an exec with so many inputs."""
    return CacheMap(
        digest=noted_digest(key_json(exec_op, platform), "json"),
        inputs=tuple(_keying(d, contents) for d in _dependencies(exec_op, input_count)),
    )


def key_json(exec_op: ops_pb2.ExecOp, platform: Platform) -> bytes:
    """The text whose digest is the op's cache digest."""
    op = ops_pb2.ExecOp()
    op.CopyFrom(exec_op)
    op.meta.ClearField("proxy_env")
    for host in op.meta.extraHosts:
        host.IP = ""
    for mount in op.mounts:
        mount.selector = ""
        if mount.HasField("cacheOpt") and not _is_default_cache(mount):
            mount.cacheOpt.Clear()
    if _is_plain_root(op.mounts):
        op.ClearField("mounts")
    value: dict[str, Any] = {"Type": CACHE_TYPE, "Exec": op}
    value |= {"OS": platform.os, "Arch": platform.architecture}
    optional = {
        "Variant": platform.variant,
        "OSVersion": platform.os_version,
        "OSFeatures": list(platform.os_features),
    }
    return messages.encode(value | {k: v for k, v in optional.items() if v})


def _is_default_cache(mount: ops_pb2.Mount) -> bool:
    """A Dockerfile's plain cache mount: its id is the target, perhaps in a namespace."""
    if mount.cacheOpt.sharing != ops_pb2.SHARED:
        return False
    _, slash, rest = mount.cacheOpt.ID.partition("/")
    return mount.dest == mount.cacheOpt.ID or (bool(slash) and rest == mount.dest)


def _is_plain_root(mounts: Sequence[ops_pb2.Mount]) -> bool:
    """One mount, and nothing said about it. Its input and output don't matter."""
    if len(mounts) != 1:
        return False
    rest = ops_pb2.Mount()
    rest.CopyFrom(mounts[0])
    for name in ("input", "output", "TmpfsOpt", "contentCache"):
        rest.ClearField(name)
    return rest == ops_pb2.Mount(dest=ROOT)


class _Dependency(Struct):
    """What an exec uses of one input."""

    paths: list[str] = field(default_factory=list)
    by_content: bool = False


def _dependencies(exec_op: ops_pb2.ExecOp, input_count: int) -> list[_Dependency]:
    dependencies = [_Dependency() for _ in range(input_count)]
    for mount in exec_op.mounts:
        if mount.mountType in _WITHOUT_CONTENT or mount.input == EMPTY:
            continue
        if not 0 <= mount.input < input_count:
            raise InvalidRequest(f"invalid mountinput {_text(mount)}")
        dependency = dependencies[mount.input]
        path = posixpath.normpath("/" + mount.selector.lstrip("/"))
        dependency.paths.append(path)
        dependency.by_content = _by_content(mount, path)
    return dependencies


def _by_content(mount: ops_pb2.Mount, path: str) -> bool:
    """Whether content may stand in for the definition. Not where the step could change a part of
    the input and pass the rest on unseen."""
    safe = mount.output == SKIP_OUTPUT or mount.readonly or path == ROOT
    if mount.contentCache == ops_pb2.OFF:
        return False
    if mount.contentCache == ops_pb2.ON:
        if not safe:
            raise InvalidRequest(f"invalid mount cache content {_text(mount)}")
        return True
    return safe and mount.dest != ROOT


def _text(mount: ops_pb2.Mount) -> str:
    return text_format.MessageToString(mount, as_one_line=True).replace(": ", ":").strip()


def _keying(dependency: _Dependency, contents: ContentDigests) -> InputKeying:
    content = ContentKey(contents, _queries(dependency.paths)) if dependency.by_content else None
    selector = noted_list_digest(dependency.paths, "string-list") if dependency.paths else ""
    return InputKeying(selector=selector, content=content, prepare=unlazy)


def _queries(paths: Sequence[str]) -> list[Query]:
    """Whole input: one question without a path's rules."""
    roots = dedupe_paths(paths)
    if ROOT in roots:
        return []
    return [Query(path=p, follow_links=True) for p in roots]
