"""Environment variables in the order in which they were last set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class Env(Mapping[str, str]):
    """An immutable environment. Setting a variable again moves it to the end."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values: dict[str, str] = dict(values or {})

    def __getitem__(self, key: str) -> str:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __repr__(self) -> str:
        return f"Env({self._values!r})"

    def set(self, key: str, value: str) -> Env:
        """With one more variable, or with a new value for it."""
        env = Env(self._values)
        env._values.pop(key, None)
        env._values[key] = value
        return env

    def update(self, values: Mapping[str, str]) -> Env:
        """With all of these set, one after the other."""
        env = Env()
        env._values = {k: v for k, v in self._values.items() if k not in values}
        env._values.update(values)
        return env

    def default(self, key: str, value: str) -> Env:
        """With the variable unless it is there."""
        return self if key in self._values else self.set(key, value)

    def without(self, key: str) -> Env:
        """With the variable gone."""
        env = Env(self._values)
        env._values.pop(key, None)
        return env

    def pairs(self) -> list[str]:
        """`KEY=value` texts."""
        return [f"{k}={v}" for k, v in self._values.items()]
