"""Which builder a command works with.

A name is looked up among the stored builders, then the docker contexts; an address (`unix://…`,
`tcp://…`) is a builder of its own. `croze`, the user's own daemon, is always there. With no name it
is the one chosen with `use` for the current docker context, else the user's own.
"""

from __future__ import annotations

from croze.builders.contexts import Contexts
from croze.builders.files import Transaction, not_found
from croze.builders.model import Builder, Node
from croze.errors import InvalidRequest

OWN = "croze"


def is_address(name: str) -> bool:
    """Whether it names no builder but where a daemon listens."""
    return ":" in name


def by_name(name: str, stored: Transaction, contexts: Contexts) -> Builder:
    """Raises `NotFound`."""
    if is_address(name):
        return of_address(name)
    found = _stored(name, stored) or of_context(name, contexts)
    if found is not None:
        return found
    if name == OWN:
        return own()
    raise not_found(name)


def of_address(address: str) -> Builder:
    """The builder that an address stands for, without any file."""
    return Builder(address, "remote", (Node(name=address, endpoint=address),))


def current(stored: Transaction, contexts: Contexts) -> Builder:
    """The builder of a command that names none."""
    return stored.current(contexts.current_endpoint) or own()


def own() -> Builder:
    """The user's own daemon. Its endpoint is found when it is dialled."""
    return Builder(OWN, OWN, (Node(name=OWN, endpoint=OWN),))


def of_context(name: str, contexts: Contexts) -> Builder | None:
    """The builder inside the engine of a docker context."""
    if contexts.find(name) is None:
        return None
    return Builder(name, "docker", (Node(name=name, endpoint=name),))


def everybody(stored: Transaction, contexts: Contexts) -> list[Builder]:
    """Stored builders, then the user's own, then those of docker contexts, each name once."""
    found = {builder.name: builder for builder in stored.builders()}
    found.setdefault(OWN, own())
    for name in contexts.names():
        if name not in found and (builder := of_context(name, contexts)) is not None:
            found[name] = builder
    return list(found.values())


def _stored(name: str, stored: Transaction) -> Builder | None:
    try:
        return stored.builder(name)
    except InvalidRequest as error:
        if str(error).startswith("invalid name "):
            return None
        raise
