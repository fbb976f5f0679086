"""Which builder a command works with.

A name is looked up among the stored builders, then the docker contexts; an address (`unix://…`,
`tcp://…`) is a builder of its own. `croze`, the user's own daemon, is always there (by this name,
unless buildx has given it to another one). With no name it is the one chosen with `use` for the
current docker context, else the user's own.
"""

from __future__ import annotations

from croze.builders.contexts import Contexts
from croze.builders.files import Transaction, not_found
from croze.builders.model import BuilderInstance, BuilderNode
from croze.errors import InvalidRequest

OWN = "croze"


def is_address(name: str) -> bool:
    """Whether a text says where a daemon listens, and names no builder."""
    return ":" in name


def checked_address(address: str) -> str:
    """The address, if a daemon can be there; a Unix socket's path may be anything. Raises
    `InvalidRequest`."""
    if not address.startswith("unix:"):
        from croze.http.urls import parse_url

        parse_url(address)
    return address


def by_name(name: str, stored: Transaction, contexts: Contexts) -> BuilderInstance:
    """The builder of a name: a stored one, else the one that a docker context stands for. Raises
    `NotFound`."""
    if is_address(name):
        return of_address(name)
    builder = _stored(name, stored) or of_context(name, contexts)
    if builder is not None:
        return builder
    if name == OWN:
        return own()
    raise not_found(name)


def of_address(address: str) -> BuilderInstance:
    """The builder that an address stands for, without any file. Raises `InvalidRequest`."""
    checked_address(address)
    return BuilderInstance(address, "remote", (BuilderNode(name=address, endpoint=address),))


def current(stored: Transaction, contexts: Contexts) -> BuilderInstance:
    """The builder of a command that names none. Raises `NotFound` if the docker context in force is
    one that does not exist."""
    chosen = stored.current(contexts.current_endpoint)
    if chosen is None and contexts.find(contexts.current) is None:
        raise not_found(contexts.current)
    return chosen or own()


def own() -> BuilderInstance:
    """The user's own daemon. Its endpoint is found when it is dialled."""
    return BuilderInstance(OWN, OWN, (BuilderNode(name=OWN, endpoint=OWN),))


def of_context(name: str, contexts: Contexts) -> BuilderInstance | None:
    """The builder inside the engine of a docker context."""
    if contexts.find(name) is None:
        return None
    return BuilderInstance(name, "docker", (BuilderNode(name=name, endpoint=name),))


def everybody(stored: Transaction, contexts: Contexts) -> list[BuilderInstance]:
    """All builders: the stored ones, then the user's own, then those of docker contexts. The user's
    own is there even if buildx has stored another one under its name; else each name is there
    once."""
    builders = [*stored.builders(), own()]
    names = {builder.name for builder in builders}
    for name in contexts.names():
        if name not in names and (builder := of_context(name, contexts)) is not None:
            builders.append(builder)
    return builders


def _stored(name: str, stored: Transaction) -> BuilderInstance | None:
    try:
        return stored.builder(name)
    except InvalidRequest as error:
        if str(error).startswith("invalid name "):
            return None
        raise
