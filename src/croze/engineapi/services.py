"""The services that Docker's API is served with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from msgspec import Struct

from croze.engineapi.containers.manager import Containers
from croze.engineapi.events import EventLog
from croze.engineapi.running_builds import NamedBuilds
from croze.engineapi.uploads import Uploads
from croze.image.platform import Platform
from croze.rpc.bytestream import ByteStream
from croze.rpc.channel import Channel
from croze.session.manager import Sessions
from croze.sources.content import Access
from croze.store.contract import BlobStore, RefStore
from croze.store.image_contract import ImageStore


class DaemonInfo(Struct, frozen=True):
    """The daemon's own account of itself."""

    id: str
    root: Path
    snapshotter: str
    platforms: Sequence[Platform]
    debug: bool
    host_gateway: str
    """What `host-gateway` stands for as an extra host's address; empty if nothing does."""


class Services(Struct, frozen=True):
    """A running daemon, as far as the API needs it."""

    machine: DaemonInfo
    blobs: BlobStore
    images: ImageStore
    refs: RefStore
    sessions: Sessions
    access: Access
    """To registries."""
    serve: Callable[[ByteStream], Awaitable[None]]
    """Speak the daemon's own gRPC on a stream, to its end."""
    channel: Channel
    """The same, for calls: one for all of them."""
    running: NamedBuilds
    uploads: Uploads
    events: EventLog
    containers: Containers
    in_use: Callable[[], AbstractContextManager[None]]
    """While inside, a daemon that was started on demand stays."""
