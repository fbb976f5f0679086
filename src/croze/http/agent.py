"""What servers are told of who asks."""

from typing import Final

USER_AGENT: Final = "buildkit/v0.31 croze"
"""Servers know BuildKit's name, and some treat it specially."""
