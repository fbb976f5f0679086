"""The driver of a node, by the name that its builder gives."""

from __future__ import annotations

from croze.builders.contexts import Contexts, DockerContext
from croze.builders.model import Builder, Node
from croze.drivers.contract import Driver
from croze.drivers.docker import DockerDriver
from croze.drivers.own import OwnDriver
from croze.drivers.remote import RemoteDriver
from croze.errors import CrozeError, Unsupported

NAMES = ("docker", "docker-container", "kubernetes", "remote")
"""That a user may name, sorted as buildx lists them."""
INSTANCES = tuple(name for name in NAMES if name != "docker")
"""Those that a builder can be made of."""


def driver(builder: Builder, node: Node, contexts: Contexts) -> Driver:
    """Raises `CrozeError` for a driver or a node's options that can't be."""
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
        case _:
            check_name(builder.driver)
            raise Unsupported(f"the {builder.driver} driver is not there in this croze")


def check_name(name: str) -> None:
    """Raises `CrozeError` in buildx's words for a driver that nobody has."""
    if name not in NAMES and name != "croze":
        raise CrozeError(f'failed to find driver "{name}"')


def engine(endpoint: str, contexts: Contexts) -> DockerContext:
    """The engine that an endpoint names: a context, or an address."""
    if "://" in endpoint:
        return DockerContext(endpoint, endpoint)
    return contexts.get(endpoint)
