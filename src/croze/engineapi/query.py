"""Parameters of any request, as Docker reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aiohttp import web

from croze.errors import Unsupported


class UrlQuery:
    """A request's parameters; a name may come more than once."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = tuple(pairs)

    def all(self, name: str) -> list[str]:
        """The values of a parameter that are not empty."""
        return [value for key, value in self._pairs if key == name and value]

    def first(self, name: str) -> str:
        """The first value of a parameter; empty if there is none."""
        return next(iter(self.all(name)), "")

    def is_set(self, name: str) -> bool:
        """Whether a flag is set, as Docker reads it."""
        return self.first(name).strip().lower() not in ("", "0", "no", "false", "none")


def flag(request: web.Request, name: str) -> bool:
    """Whether a parameter is set."""
    return UrlQuery(request.query.items()).is_set(name)


def refuse(request: web.Request, refused: Mapping[str, str]) -> None:
    """See that none of these parameters, by name with what they ask for, is set. Raises
    `Unsupported`."""
    for name, what in refused.items():
        if flag(request, name):
            raise Unsupported(f"{name}={request.query[name]} is not served here: {what}")
