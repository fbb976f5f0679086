"""aiohttp, imported when something of it is first used.

It is a fifth of what the daemon imports, and most builds reach no network. Used on the event loop's
thread only: `importlib.util.LazyLoader` is not made for several.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp as aiohttp
else:

    def _lazily(name: str) -> object:
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.find_spec(name)
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    aiohttp = _lazily("aiohttp")
