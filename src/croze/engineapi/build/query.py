"""The parameters of `POST /build?version=2`, as what they ask of a build. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import msgspec

from croze.api.attrs import to_attrs
from croze.api.control_pb2 import CacheOptions, CacheOptionsEntry, Exporter, SolveRequest
from croze.engineapi.extra_hosts import address_of
from croze.engineapi.query import UrlQuery
from croze.errors import InvalidRequest, Unsupported
from croze.gotypes import gojson
from croze.image import reference

T = TypeVar("T")

CLIENT_SESSION, UPLOAD = "client-session", "upload-request"
REFUSED = {
    "squash": "BuildKit makes a layer of each step",
    "securityopt": "BuildKit runs all steps by one profile",
}
LIMITS = ("memory", "memswap", "cpushares", "cpusetcpus", "cpusetmems", "cpuperiod", "cpuquota")
NETWORKS = frozenset({"host", "none"})
_UNSET = frozenset({"", "0", "null", "[]", "{}", "false"})


class OutputParam(msgspec.Struct, rename="pascal"):
    """An entry of the parameter `outputs`."""

    type: str
    attrs: dict[str, str] = {}


class UlimitParam(msgspec.Struct, rename="pascal"):
    """An entry of the parameter `ulimits`."""

    name: str
    hard: int
    soft: int


def solve_request(
    query: UrlQuery, ref: str, local: Collection[str] = (), host_gateway: str = ""
) -> SolveRequest:
    """The request that the parameters make, whatever lends it its context. `local` are the images
    of which the cache is here, `host_gateway` what that stands for as an address. Raises
    `InvalidRequest`, and `Unsupported` for what is asked and not served."""
    check_served(query)
    network = query.first("networkmode")
    return SolveRequest(
        Ref=ref,
        Session=query.first("session"),
        Frontend="dockerfile.v0",
        FrontendAttrs=to_attrs(_frontend_attrs(query, host_gateway)),
        Exporters=_exporters(query),
        Cache=_caches(query, local),
        Entitlements=["network.host"] if network == "host" else [],
    )


def check_served(query: UrlQuery) -> None:
    """See that all that the parameters ask for is served. Raises `Unsupported`, by name."""
    for name, why in REFUSED.items():
        if query.first(name).lower() not in _UNSET:
            raise Unsupported(f"{name}={query.first(name)} is not served here: {why}")
    if query.first("isolation") not in ("", "default"):
        raise InvalidRequest(f"invalid isolation: {query.first('isolation')!r} is of Windows only")


def check_session(query: UrlQuery) -> None:
    """See that there is a session, which a build of version 2 needs. Raises `Unsupported`."""
    if not query.first("session"):
        raise Unsupported("a build without a session is not served here")


def _frontend_attrs(query: UrlQuery, host_gateway: str) -> Mapping[str, str]:
    attrs = {
        "filename": query.first("dockerfile"),
        "target": query.first("target"),
        "platform": query.first("platform"),
        "cgroup-parent": query.first("cgroupparent"),
        "add-hosts": ",".join(
            f"{name}={address_of(address, host_gateway)}"
            for name, _, address in (host.partition(":") for host in query.all("extrahosts"))
        ),
        "ulimit": ",".join(
            f"{u.name}={u.soft}:{u.hard}" for u in _read(query, "ulimits", list[UlimitParam])
        ),
    }
    if (remote := query.first("remote")) not in (CLIENT_SESSION, UPLOAD):
        attrs["context"] = remote
    if query.first("shmsize") not in _UNSET:
        attrs["shm-size"] = query.first("shmsize")
    # An engine's own images come first: registries are asked for what is not here.
    attrs["image-resolve-mode"] = "pull" if query.is_set("pull") else "local"
    attrs |= {name: query.first(name) for name in LIMITS if query.first(name) not in _UNSET}
    if query.first("networkmode") not in ("", "default", "bridge"):
        if query.first("networkmode") not in NETWORKS:
            raise InvalidRequest(
                f"network mode {query.first('networkmode')!r} not supported by buildkit"
            )
        attrs["force-network-mode"] = query.first("networkmode")
    attrs = {name: value for name, value in attrs.items() if value}
    if query.is_set("nocache"):
        attrs["no-cache"] = ""
    for kind, values in (("build-arg", "buildargs"), ("label", "labels")):
        pairs = _read(query, values, dict[str, str | None])
        attrs |= {f"{kind}:{k}": v for k, v in pairs.items() if v is not None}
    return attrs


def _exporters(query: UrlQuery) -> Sequence[Exporter]:
    outputs = _read(query, "outputs", list[OutputParam])
    if len(outputs) > 1:
        raise InvalidRequest("multiple outputs not supported")
    names = [str(reference.parse(name).tagged()) for name in query.all("t")]
    if outputs and outputs[0].type == "cacheonly":
        return []
    exporter = outputs[0] if outputs else OutputParam("moby")
    kind = "moby" if exporter.type == "image" else exporter.type
    attrs = dict(exporter.attrs)
    if names and kind == "moby":
        attrs["name"] = ",".join(names)
    return [Exporter(Type=kind, Attrs=to_attrs(attrs))]


def _caches(query: UrlQuery, local: Collection[str]) -> CacheOptions:
    imports = [
        CacheOptionsEntry(Type="registry", Attrs=to_attrs({"ref": name}))
        for name in _read(query, "cachefrom", list[str])
        if name and str(reference.parse(name).tagged()) not in local
    ]
    inline = _read(query, "buildargs", dict[str, str | None]).get("BUILDKIT_INLINE_CACHE")
    exports = [CacheOptionsEntry(Type="inline")] if inline in ("1", "true") else []
    return CacheOptions(Imports=imports, Exports=exports)


def _read(query: UrlQuery, name: str, kind: type[T]) -> T:
    """A parameter in JSON; nothing and null are empty. Raises `InvalidRequest`."""
    text = query.first(name)
    try:
        if text in _UNSET:
            return msgspec.convert({} if "dict" in str(kind) else [], kind)
        return gojson.unmarshal(text, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"error reading {name}: {error}") from error
