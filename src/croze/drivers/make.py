"""The driver of a node, by the name that its builder gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.builders.contexts import Contexts, DockerContext
from croze.builders.model import BuilderInstance, BuilderNode
from croze.drivers.contract import Driver
from croze.drivers.docker import DockerDriver
from croze.drivers.own import OwnDriver
from croze.drivers.remote import RemoteDriver
from croze.errors import CrozeError

if TYPE_CHECKING:
    from croze.drivers.kubernetes.config import Cluster

NAMES = ("docker", "docker-container", "kubernetes", "remote")
"""That a user may name, sorted as buildx lists them."""
INSTANCES = tuple(name for name in NAMES if name != "docker")
"""The drivers that a builder can be made of."""


def driver(
    builder: BuilderInstance, node: BuilderNode, contexts: Contexts, key: str = ""
) -> Driver:
    """The driver of a node. `key` is what a node of several daemons sticks to one by: the path of a
    build's context. Raises `CrozeError` for a driver or a node's options that can't be."""
    match builder.driver:
        case "croze":
            return OwnDriver()
        case "remote":
            return RemoteDriver(node)
        case "docker":
            return DockerDriver(node, engine(node.endpoint, contexts))
        case "docker-container":
            from croze.drivers.container import ContainerDriver

            return ContainerDriver(node, engine(node.endpoint, contexts))
        case "kubernetes":
            from croze.drivers.kubernetes.driver import KubernetesDriver

            return KubernetesDriver(node, _cluster(node.endpoint, contexts), key)
        case name:
            raise unknown(name)


def unknown(name: str) -> CrozeError:
    """The error for a driver that nobody has, in buildx's words."""
    return CrozeError(f'failed to find driver "{name}"')


def is_known(name: str) -> bool:
    """Whether there is a driver of that name."""
    return name in NAMES or name == "croze"


def check_name(name: str) -> None:
    """See that a builder can be made of the driver. Raises `CrozeError` in buildx's words."""
    if not is_known(name):
        raise unknown(name)
    if name not in INSTANCES and name != "croze":
        raise CrozeError(f'additional instances of driver "{name}" cannot be created')


def engine(endpoint: str, contexts: Contexts) -> DockerContext:
    """The engine that an endpoint names: a context, or an address."""
    if "://" in endpoint:
        return DockerContext(endpoint, endpoint)
    return contexts.engine(endpoint)


def _cluster(endpoint: str, contexts: Contexts) -> Cluster:
    """The cluster that an endpoint names: itself, or as a context that names one. Others are what
    buildx wrote down before it had endpoints for clusters."""
    from croze.drivers.kubernetes.config import cluster_of
    from croze.drivers.kubernetes.contexts import cluster_of_context

    context = None if "://" in endpoint else contexts.find(endpoint)
    if context is not None and context.kubernetes is not None:
        return cluster_of_context(context.kubernetes)
    return cluster_of(endpoint)
