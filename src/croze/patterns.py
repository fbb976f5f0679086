"""Regular expressions that are compiled when they are first used.

To compile one takes as long as to load a module, and most of those that a daemon knows are for what
few builds have in them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from re import compile as lazy_pattern

    __all__ = ["lazy_pattern"]
else:

    class lazy_pattern:
        """A pattern, for type checkers one of `re`; the methods are the compiled one's."""

        def __init__(self, text: str | bytes, flags: int = 0) -> None:
            self._arguments = text, flags

        def __reduce__(self) -> tuple[object, tuple[str | bytes, int]]:
            return lazy_pattern, self._arguments

        def __getattr__(self, name: str) -> object:
            method = getattr(re.compile(*self._arguments), name)
            setattr(self, name, method)  # found without this from now on
            return method
