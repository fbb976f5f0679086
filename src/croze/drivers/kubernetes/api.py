"""The calls to a cluster's API server that a builder needs.

Source: Kubernetes API, apps/v1 and v1. The structs hold what is read of the answers.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from croze.drivers.kubernetes.config import Cluster
from croze.drivers.kubernetes.credentials import Identity, identity
from croze.drivers.kubernetes.manifest import Object
from croze.errors import AlreadyExists, CrozeError, NotFound, PermissionDenied, Unavailable
from croze.gotypes import gojson
from croze.http.urls import parse_url

if TYPE_CHECKING:
    import aiohttp

    from croze.http.daemon import HttpClient

log = logging.getLogger(__name__)

ANSWER_LIMIT_BYTES = 64 << 20
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
NO_UPGRADE = "Upgrade request required"
_GROUPS = {
    "deployments": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "configmaps": "/api/v1",
    "pods": "/api/v1",
}
_ERRORS = {401: PermissionDenied, 403: PermissionDenied, 404: NotFound, 409: AlreadyExists}


class ApiStatus(msgspec.Struct):
    """What the server says when it says no, and at the end of a command in a pod."""

    status: str = ""
    message: str = ""
    reason: str = ""


class _WorkloadStatus(msgspec.Struct, rename="camel"):
    ready_replicas: int = 0


class Workload(msgspec.Struct):
    """A Deployment or StatefulSet."""

    status: _WorkloadStatus = msgspec.field(default_factory=_WorkloadStatus)


class _PodMeta(msgspec.Struct, rename="camel"):
    name: str
    annotations: dict[str, str] | None = None
    deletion_timestamp: str | None = None


class _Container(msgspec.Struct):
    name: str


class _PodSpec(msgspec.Struct):
    containers: tuple[_Container, ...] = ()


class _PodStatus(msgspec.Struct):
    phase: str = ""


class Pod(msgspec.Struct):
    metadata: _PodMeta
    spec: _PodSpec = msgspec.field(default_factory=_PodSpec)
    status: _PodStatus = msgspec.field(default_factory=_PodStatus)


class _Pods(msgspec.Struct):
    items: tuple[Pod, ...] | None = None


_T = TypeVar("_T")


class KubernetesApi:
    """One namespace of a cluster. All methods raise `Unavailable` when the server does not answer,
    `NotFound`, `AlreadyExists`, `PermissionDenied` or `CrozeError` with its words when it says
    no."""

    def __init__(self, cluster: Cluster, namespace: str, http: HttpClient, who: Identity) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._http = http
        self._who = who

    async def workload(self, kind: str, name: str) -> Workload:
        return _decoded(await self._call("GET", self._path(kind, name)), Workload)

    async def create(self, kind: str, manifest: Object) -> None:
        await self._call("POST", self._path(kind), value=manifest)

    async def replace(self, kind: str, name: str, manifest: Object) -> None:
        await self._call("PUT", self._path(kind, name), value=manifest)

    async def delete(self, kind: str, name: str) -> None:
        """Delete an object; of a workload, its pods as well, by and by."""
        options: Object = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
        }
        await self._call("DELETE", self._path(kind, name), value=options)

    async def pods(self, selector: str) -> tuple[Pod, ...]:
        query = urlencode({"labelSelector": selector})
        return _decoded(await self._call("GET", f"{self._path('pods')}?{query}"), _Pods).items or ()

    async def exec(
        self, pod: str, container: str, command: Sequence[str]
    ) -> aiohttp.ClientWebSocketResponse:
        """Run a command in a pod; its streams, in one of `PROTOCOLS`, to be closed."""
        import aiohttp

        query = [("container", container), *(("command", word) for word in command)]
        query += [("stdin", "true"), ("stdout", "true"), ("stderr", "true")]
        path = f"{self._path('pods', pod)}/exec?{urlencode(query)}"
        url = self._url(path)
        try:
            return await self._http.websocket(
                url,
                PROTOCOLS,
                headers=self._who.headers,
                ssl=self._who.ssl or True,
                server_name=self._cluster.server_name,
            )
        except aiohttp.WSServerHandshakeError as error:
            refusal = await self._refusal(path)
            raise refusal or CrozeError(
                f"the server did not start {' '.join(command)} in pod {pod}: {error.message}"
            ) from None
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable("GET", url, error) from None

    async def _refusal(self, path: str) -> CrozeError | None:
        """Why a handshake failed, in the server's words: a request that asks for no upgrade is
        answered with them."""
        try:
            await self._call("GET", path)
        except CrozeError as error:
            if str(error) == NO_UPGRADE:
                return CrozeError(
                    f"{self._cluster.server}, or a proxy before it, takes no WebSockets, over "
                    "which commands run in pods"
                )
            return error
        return None

    def _path(self, kind: str, name: str = "") -> str:
        path = f"{_GROUPS[kind]}/namespaces/{quote(self._namespace, safe='')}/{kind}"
        return f"{path}/{quote(name, safe='')}" if name else path

    def _url(self, path: str) -> str:
        return self._cluster.server + path

    async def _call(self, method: str, path: str, value: Object | None = None) -> bytes:
        import aiohttp

        from croze.http.daemon import read_all

        headers = {**self._who.headers, "Accept": "application/json"}
        if value is not None:
            headers["Content-Type"] = "application/json"
        url = self._url(path)
        try:
            async with await self._http.send(
                method,
                url,
                headers=headers,
                body=None if value is None else msgspec.json.encode(value),
                ssl=self._who.ssl or True,
                server_name=self._cluster.server_name,
                redirects=False,
            ) as answer:
                data = await read_all(answer, ANSWER_LIMIT_BYTES, "the server's answer")
                _warn(answer)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise _unreachable(method, url, error) from None
        if answer.status >= 400:
            raise _ERRORS.get(answer.status, CrozeError)(_message(data, answer))
        return data


@asynccontextmanager
async def kubernetes_api(cluster: Cluster, namespace: str = "") -> AsyncIterator[KubernetesApi]:
    """The calls to a cluster, in a namespace; an empty one is the cluster's default. Nothing is
    dialled before the first call."""
    from croze.http.daemon import HttpClient

    who = await identity(cluster)
    client = HttpClient(proxy=cluster.proxy or None)
    try:
        yield KubernetesApi(cluster, namespace or cluster.namespace, client, who)
    finally:
        await client.close()


def _warn(answer: aiohttp.ClientResponse) -> None:
    """What the server would have the user know (RFC 7234, section 5.5): `299 -
    "text"`."""
    for line in answer.headers.getall("Warning", []):
        code, _, rest = line.partition(" ")
        if code == "299":
            log.warning("%s", rest.partition(" ")[2].strip('"').replace('\\"', '"'))


def status_of(data: bytes) -> ApiStatus:
    try:
        return gojson.unmarshal(data, type=ApiStatus)
    except (msgspec.MsgspecError, RecursionError):
        return ApiStatus(message=data.decode(errors="replace").strip())


def _message(data: bytes, answer: aiohttp.ClientResponse) -> str:
    return status_of(data).message or f"the server answered {answer.status} {answer.reason}"


def _unreachable(method: str, url: str, error: Exception) -> Unavailable:
    from croze.http.daemon import reason

    parts = parse_url(url)
    why = reason(error)
    return Unavailable(f'{method.capitalize()} "{parts._replace(query="").geturl()}": {why}')


def _decoded(data: bytes, kind: type[_T]) -> _T:
    try:
        return gojson.unmarshal(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise CrozeError(f"the Kubernetes server's answer can't be read: {error}") from None
