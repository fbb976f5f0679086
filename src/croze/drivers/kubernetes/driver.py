"""The `kubernetes` driver. Source: docker/buildx `driver/kubernetes/driver.go`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from croze.builders.model import BuilderNode, parse_platforms
from croze.drivers.contract import NodeStatus, silent
from croze.drivers.kubernetes.api import KubernetesApi, Pod, kubernetes_api
from croze.drivers.kubernetes.config import Cluster
from croze.drivers.kubernetes.manifest import PLATFORM_ANNOTATION, manifests
from croze.drivers.kubernetes.options import parse_options
from croze.drivers.kubernetes.pods import choose, running
from croze.drivers.kubernetes.streams import Input, PodOutput
from croze.drivers.tunnel import Streams, carried_client, to_standard_error
from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound, Unavailable
from croze.gotypes.duration import human_duration
from croze.progress.own import own_step

if TYPE_CHECKING:
    import aiohttp

    from croze.client.connect import Client
    from croze.drivers.contract import Tell

LOOK_EVERY_S = 0.1
DIAL = ("buildctl", "dial-stdio")
TRIES = 5
FIRST_PAUSE_S = 0.5
"""Before a second try to reach a pod; each further pause is twice as long."""
_PASSING = ("connection refused", "connection reset", "timed out", "tls: internal error")
"""A node that has just come says these for a moment: its certificate is not yet signed."""


class KubernetesDriver:
    """See `Driver`. `key` is what the choice of a pod sticks to. Raises `InvalidRequest` for
    options that can't be."""

    def __init__(self, node: BuilderNode, cluster: Cluster, key: str = "") -> None:
        self._cluster = cluster
        self._key = key
        self._options = parse_options(node.driver_opts or {})
        self._made = manifests(
            node.name.replace("_", "-"),
            self._options,
            flags=node.flags or (),
            files=node.files,
            fixed=node.platforms or (),
        )

    @property
    def default_load(self) -> bool:
        return self._options.default_load

    def _api(self) -> AbstractAsyncContextManager[KubernetesApi]:
        return kubernetes_api(self._cluster, self._options.namespace)

    async def status(self) -> NodeStatus:
        try:
            async with self._api() as api:
                workload = await api.workload(self._made.kind, self._made.name)
        except CrozeError:
            return NodeStatus.INACTIVE
        return NodeStatus.RUNNING if workload.status.ready_replicas > 0 else NodeStatus.STOPPED

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        async with self._api() as api:
            pods = running(await api.pods(self._made.selector))
        return tuple(_node(pod) for pod in pods)

    async def version(self) -> str:
        return ""

    async def boot(self, tell: Tell = silent) -> None:
        async with self._api() as api:
            if await self._is_ready(api):
                return
            with own_step("[internal] booting buildkit", tell) as step:
                await self._create(api)
                count, limit_s = self._options.replicas, self._options.timeout_s
                patience = human_duration(limit_s)
                with step.part(f"waiting for {count} pods to be ready, timeout: {patience}"):
                    await self._wait(api)

    async def _is_ready(self, api: KubernetesApi) -> bool:
        try:
            workload = await api.workload(self._made.kind, self._made.name)
        except CrozeError:
            return False
        return workload.status.ready_replicas > 0

    async def _create(self, api: KubernetesApi) -> None:
        """What is there already stays as it is."""
        name = self._made.name
        try:
            await api.workload(self._made.kind, name)
            return
        except NotFound:
            pass
        except CrozeError as error:
            raise error.wrap(f'error for bootstrap "{name}"') from None
        for settings in self._made.config_maps:
            await self._configure(api, settings)
        try:
            await api.create(self._made.kind, self._made.workload)
        except CrozeError as error:
            raise error.wrap(f'error while calling Create for "{name}"') from None

    async def _configure(self, api: KubernetesApi, settings: dict[str, object]) -> None:
        name = _name(settings)
        try:
            await api.create("configmaps", settings)
        except AlreadyExists:
            try:
                await api.replace("configmaps", name, settings)
            except CrozeError as error:
                what = f'error while calling configMapClient.Update for "{name}"'
                raise error.wrap(what) from None
        except CrozeError as error:
            raise error.wrap(f'error while calling configMapClient.Create for "{name}"') from None

    async def _wait(self, api: KubernetesApi) -> None:
        """Wait until as many pods are ready as there shall be; raises what kept them when it takes
        too long. Where there is no time to look at them, who dials them will tell, as in buildx."""
        last: CrozeError | None = None
        try:
            async with asyncio.timeout(self._options.timeout_s):
                while True:
                    await asyncio.sleep(LOOK_EVERY_S)
                    try:
                        workload = await api.workload(self._made.kind, self._made.name)
                    except CrozeError as error:
                        last = error
                        continue
                    ready, replicas = workload.status.ready_replicas, self._options.replicas
                    if ready >= replicas:
                        return
                    last = Unavailable(f"expected {replicas} replicas to be ready, got {ready}")
        except TimeoutError:
            if last is not None:
                raise last from None

    async def stop(self) -> None:
        """Do nothing: pods have no other state than being there."""

    async def remove(self, *, state: bool, daemon: bool) -> None:
        if not daemon:
            return
        calls = {"deployments": "deploymentClient", "statefulsets": "statefulSetClient"}
        async with self._api() as api:
            await _delete(api, self._made.kind, self._made.name, calls[self._made.kind])
            for settings in self._made.config_maps:
                await _delete(api, "configmaps", _name(settings), "configMapClient")

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        async with carried_client(self.streams) as client:
            yield client

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        async with self._api() as api:
            pods = running(await api.pods(self._made.selector))
            socket = await self._reached(api, choose(pods, self._options.loadbalance, self._key))
            try:
                yield PodOutput(socket, to_standard_error), Input(socket)
            finally:
                await socket.close()

    async def _reached(self, api: KubernetesApi, pod: Pod) -> aiohttp.ClientWebSocketResponse:
        name = pod.metadata.name
        if not pod.spec.containers:
            raise InvalidRequest(f"pod {name} does not have any container")
        container = pod.spec.containers[0].name
        for attempt in range(TRIES):
            try:
                return await api.exec(name, container, DIAL)
            except CrozeError as error:
                if not any(text in str(error).lower() for text in _PASSING):
                    raise
                last = error
            await asyncio.sleep(FIRST_PAUSE_S * 2**attempt)
        raise last.wrap(f"failed to connect to pod {name} after {TRIES} attempts")


async def _delete(api: KubernetesApi, kind: str, name: str, call: str) -> None:
    try:
        await api.delete(kind, name)
    except NotFound:
        pass
    except CrozeError as error:
        raise error.wrap(f'error while calling {call}.Delete for "{name}"') from None


def _name(settings: dict[str, object]) -> str:
    meta = settings["metadata"]
    assert isinstance(meta, dict)
    return str(meta["name"])


def _node(pod: Pod) -> BuilderNode:
    listed = (pod.metadata.annotations or {}).get(PLATFORM_ANNOTATION, "")
    try:
        platforms = parse_platforms((listed,)) if listed else None
    except InvalidRequest:
        platforms = None
    return BuilderNode(name=pod.metadata.name, endpoint="", platforms=platforms)
