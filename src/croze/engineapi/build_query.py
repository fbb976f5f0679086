"""The parameters of `POST /build?version=2`, as what they ask of a build. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from croze.api.attrs import to_attrs
from croze.api.control_pb2 import CacheOptions, CacheOptionsEntry, Exporter, SolveRequest
from croze.engineapi.query import Query
from croze.errors import InvalidRequest, Unsupported
from croze.image import reference

T = TypeVar("T")

CLIENT_SESSION = "client-session"
REFUSED = (
    *("memory", "memswap", "cpushares", "cpusetcpus", "cpusetmems", "cpuperiod", "cpuquota"),
    *("cgroupparent", "isolation", "squash", "securityopt"),
)
NETWORKS = frozenset({"host", "none"})
_UNSET = frozenset({"", "0", "null", "[]", "{}", "false"})


class Output(msgspec.Struct, rename="pascal"):
    """One of `outputs`."""

    type: str
    attrs: dict[str, str] = {}


class Ulimit(msgspec.Struct, rename="pascal"):
    """One of `ulimits`."""

    name: str
    hard: int
    soft: int


def solve_request(query: Query, ref: str) -> SolveRequest:
    """Raises `InvalidRequest`, and `Unsupported` for what is asked and not served."""
    check_served(query)
    network = query.first("networkmode")
    return SolveRequest(
        Ref=ref,
        Session=query.first("session"),
        Frontend="dockerfile.v0",
        FrontendAttrs=to_attrs(_frontend_attrs(query)),
        Exporters=_exporters(query),
        Cache=_caches(query),
        Entitlements=["network.host"] if network == "host" else [],
    )


def check_served(query: Query) -> None:
    """Raises `Unsupported`, by name."""
    if query.first("version") != "2":
        raise Unsupported(
            "POST /build of Docker's classic builder is not served here: build with BuildKit "
            "(version=2), as DOCKER_BUILDKIT=1 makes clients do"
        )
    for name in REFUSED:
        if query.first(name) not in _UNSET:
            raise Unsupported(
                f"{name}={query.first(name)} is not served here: BuildKit has no such limit"
            )
    if query.first("remote") == "upload-request" or query.first("remote").startswith(
        "http://build"
    ):
        raise Unsupported("a context from standard input is not served here: use a directory")
    if not query.first("session"):
        raise Unsupported("a build without a session is not served here")


def _frontend_attrs(query: Query) -> Mapping[str, str]:
    attrs = {
        "filename": query.first("dockerfile"),
        "target": query.first("target"),
        "platform": query.first("platform"),
        "add-hosts": ",".join(host.replace(":", "=", 1) for host in query.all("extrahosts")),
        "ulimit": ",".join(
            f"{u.name}={u.soft}:{u.hard}" for u in _read(query, "ulimits", list[Ulimit])
        ),
    }
    if (remote := query.first("remote")) != CLIENT_SESSION:
        attrs["context"] = remote
    if query.first("shmsize") not in _UNSET:
        attrs["shm-size"] = query.first("shmsize")
    if query.first("pull") not in _UNSET:
        attrs["image-resolve-mode"] = "pull"
    if query.first("networkmode") not in ("", "default"):
        if query.first("networkmode") not in NETWORKS:
            raise InvalidRequest(
                f"network mode {query.first('networkmode')!r} not supported by buildkit"
            )
        attrs["force-network-mode"] = query.first("networkmode")
    attrs = {name: value for name, value in attrs.items() if value}
    if query.first("nocache") not in _UNSET:
        attrs["no-cache"] = ""
    for kind, values in (("build-arg", "buildargs"), ("label", "labels")):
        given = _read(query, values, dict[str, str | None])
        attrs |= {f"{kind}:{k}": v for k, v in given.items() if v is not None}
    return attrs


def _exporters(query: Query) -> Sequence[Exporter]:
    outputs = _read(query, "outputs", list[Output])
    if len(outputs) > 1:
        raise InvalidRequest("multiple outputs not supported")
    names = [str(reference.parse(name).tagged()) for name in query.all("t")]
    if outputs and outputs[0].type == "cacheonly":
        return []
    made = outputs[0] if outputs else Output("moby")
    kind = "moby" if made.type == "image" else made.type
    attrs = dict(made.attrs)
    if names and kind == "moby":
        attrs["name"] = ",".join(names)
    return [Exporter(Type=kind, Attrs=to_attrs(attrs))]


def _caches(query: Query) -> CacheOptions:
    imports = [
        CacheOptionsEntry(Type="registry", Attrs=to_attrs({"ref": name}))
        for name in _read(query, "cachefrom", list[str])
    ]
    inline = _read(query, "buildargs", dict[str, str | None]).get("BUILDKIT_INLINE_CACHE")
    exports = [CacheOptionsEntry(Type="inline")] if inline in ("1", "true") else []
    return CacheOptions(Imports=imports, Exports=exports)


def _read(query: Query, name: str, kind: type[T]) -> T:
    """A parameter in JSON; nothing and null are empty. Raises `InvalidRequest`."""
    text = query.first(name)
    try:
        if text in _UNSET:
            return msgspec.convert({} if "dict" in str(kind) else [], kind)
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise InvalidRequest(f"error reading {name}: {error}") from error
