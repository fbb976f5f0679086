"""What everybody's gRPC takes here, as BuildKit and its clients do.

16 MiB in a message (they say so), and 16 MiB in headers or trailers (the default of Go's gRPC): the
patterns of a `.dockerignore` go to a session as headers, and the details of an error are a trailer
and hold the whole Dockerfile.
"""

from __future__ import annotations

import resource
from typing import Final

MESSAGE_LIMIT_BYTES: Final = 16 << 20
HEADERS_LIMIT_BYTES: Final = 16 << 20
"""Names, values (binary ones in base64) and 32 bytes for each, as RFC 9113 counts."""

_MOST: Final = 10_000


def most_connections() -> int:
    """Half of the descriptors that this process may have: the rest is for its work."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // 2)
