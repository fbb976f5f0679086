"""Basic authentication. Source: RFC 7617, section 2."""

from __future__ import annotations

import base64


def basic(user: str, secret: str) -> dict[str, str]:
    """The header that says who asks."""
    pair = base64.b64encode(f"{user}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}
