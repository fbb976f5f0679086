"""The daemon's modules do without aiohttp until a build needs it."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import croze.daemon.server
assert "aiohttp.client" not in sys.modules
from croze.http.lazy import aiohttp
assert issubclass(aiohttp.ClientConnectorError, OSError)
assert "aiohttp.client" in sys.modules
"""


def test_aiohttp_comes_when_it_is_used() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
