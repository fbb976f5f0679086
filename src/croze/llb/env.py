"""Environment variables in the order in which they were last set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Env(Mapping[str, str]):
    """An immutable environment. Setting a variable again moves it to the end.

    A Dockerfile may set thousands, one by one, so that an environment is not a copy of the one
    before: it is layers, later ones over earlier ones, each more than twice as large as the next.
    To set a variable and to look one up take logarithmic time.
    """

    __slots__ = ("_layers",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._layers: tuple[dict[str, str], ...] = (dict(values),) if values else ()

    def __getitem__(self, key: str) -> str:
        for layer in reversed(self._layers):
            if key in layer:
                return layer[key]
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._flat())

    def __len__(self) -> int:
        return len(self._flat())

    def __contains__(self, key: object) -> bool:
        return any(key in layer for layer in self._layers)

    def __repr__(self) -> str:
        return f"Env({self._flat()!r})"

    def set(self, key: str, value: str) -> Env:
        """An environment with one more variable, or with a new value for it."""
        return self._over({key: value})

    def update(self, values: Mapping[str, str]) -> Env:
        """An environment with all of these set, one after the other."""
        return self._over(dict(values)) if values else self

    def default(self, key: str, value: str) -> Env:
        """An environment with the variable, unless it is there."""
        return self if key in self else self.set(key, value)

    def without(self, key: str) -> Env:
        """An environment without the variable."""
        return Env({k: v for k, v in self._flat().items() if k != key})

    def pairs(self) -> list[str]:
        """`KEY=value` texts."""
        return [f"{k}={v}" for k, v in self._flat().items()]

    def _over(self, top: dict[str, str]) -> Env:
        layers = self._layers
        while layers and len(layers[-1]) <= 2 * len(top):
            layers, top = layers[:-1], _merged(layers[-1], top)
        env = Env()
        env._layers = (*layers, top)
        return env

    def _flat(self) -> dict[str, str]:
        """All in one, which it is from then on. Not to be changed."""
        while len(self._layers) > 1:
            *below, older, newer = self._layers
            self._layers = (*below, _merged(older, newer))
        return self._layers[0] if self._layers else {}


def _merged(older: dict[str, str], newer: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in older.items() if k not in newer} | newer
