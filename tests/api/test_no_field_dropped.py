"""What is asked is done or refused: every field of every request is looked at by somebody.

Walks all messages that clients and frontends can send to the Control and LLBBridge services. A
field must be read, by its name, in the modules that handle its message, or stand in `UNREAD` with
the reason why nobody needs to. So a field that comes with a new BuildKit can't be passed over.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, ServiceDescriptor

from croze.api import control_pb2, gateway_pb2

SRC = Path(__file__).resolve().parents[2] / "src" / "croze"
SERVICES: tuple[ServiceDescriptor, ...] = (
    control_pb2.DESCRIPTOR.services_by_name["Control"],
    gateway_pb2.DESCRIPTOR.services_by_name["LLBBridge"],
)

CONTROL = "moby.buildkit.v1"
GATEWAY = "moby.buildkit.v1.frontend"
HANDLED_IN = {
    f"{CONTROL}.PruneRequest": ("daemon/services/control.py",),
    f"{CONTROL}.DiskUsageRequest": ("daemon/services/control.py",),
    f"{CONTROL}.ListWorkersRequest": ("daemon/services/control.py",),
    f"{CONTROL}.StatusRequest": ("daemon/services/control.py",),
    f"{CONTROL}.UpdateBuildHistoryRequest": ("daemon/services/control.py",),
    f"{CONTROL}.BytesMessage": ("session/messages.py",),
    f"{CONTROL}.BuildHistoryRequest": ("history/history.py",),
    f"{CONTROL}.SolveRequest": (
        "daemon/build/build.py",
        "daemon/build/exports.py",
        "daemon/build/sources.py",
        "daemon/build/recording.py",
    ),
    f"{CONTROL}.CacheOptions": ("daemon/build/caches.py",),
    f"{CONTROL}.CacheOptionsEntry": ("daemon/build/caches.py",),
    f"{CONTROL}.Exporter": ("daemon/build/exports.py",),
    f"{GATEWAY}.CacheOptionsEntry": ("gateway/serve.py",),
    f"{GATEWAY}.ReadFileRequest": ("gateway/serve.py", "gateway/files.py", "gateway/containers.py"),
    f"{GATEWAY}.FileRange": ("gateway/files.py",),
    f"{GATEWAY}.ReadDirRequest": ("gateway/serve.py", "gateway/containers.py"),
    f"{GATEWAY}.StatFileRequest": ("gateway/serve.py", "gateway/containers.py"),
    f"{GATEWAY}.ResolveSourceMetaRequest": ("gateway/serve.py", "gateway/source_meta.py"),
    f"{GATEWAY}.ReleaseContainerRequest": ("gateway/forward.py", "gateway/guest.py"),
    f"{GATEWAY}.ExecMessage": ("gateway/execs.py",),
    f"{GATEWAY}.FdMessage": ("gateway/execs.py",),
    f"{GATEWAY}.ResizeMessage": ("gateway/execs.py",),
    f"{GATEWAY}.SignalMessage": ("gateway/execs.py",),
    f"{GATEWAY}.InitMessage": ("gateway/containers.py", "gateway/execs.py"),
    f"{GATEWAY}.NewContainerRequest": ("gateway/containers.py",),
}
"""Where a message is dealt with; others anywhere in `HOMES`."""
HOMES = ("gateway", "daemon", "ops", "llb", "rpc", "sources", "dockerfile", "api")
UNREAD = {
    f"{GATEWAY}.NewContainerRequest.constraints": "one worker; BuildKit does not look at it either",
    f"{GATEWAY}.ExecMessage.Started": "the daemon's to say",
    f"{GATEWAY}.ExecMessage.Exit": "the daemon's to say",
    f"{GATEWAY}.ExecMessage.Done": "the daemon's to say",
}
ELSEWHERE = ("pb.", "google.", "fsutil.", "moby.buildkit.v1.sourcepolicy")
"""Messages that are not of these services: definitions are the ops' to read."""
NOT_SENT = {f"{GATEWAY}.ExitMessage", f"{GATEWAY}.StartedMessage", f"{GATEWAY}.DoneMessage"}


def messages() -> dict[str, Descriptor]:
    """All that can come in with a request."""
    found: dict[str, Descriptor] = {}
    waiting = [method.input_type for service in SERVICES for method in service.methods]
    while waiting:
        message = waiting.pop()
        if message.full_name in found or message.full_name.startswith(ELSEWHERE):
            continue
        found[message.full_name] = message
        for field in message.fields:
            if field.message_type is not None:
                waiting.append(field.message_type)
    return {
        name: message
        for name, message in found.items()
        if name not in NOT_SENT and not message.GetOptions().map_entry
    }


@cache
def names_read(path: Path) -> frozenset[str]:
    """Attributes that a module reads, and words that it looks for."""
    tree = ast.parse(path.read_text())
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    words = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return frozenset(read | words)


def modules(name: str) -> Iterator[Path]:
    for home in HANDLED_IN.get(name, HOMES):
        path = SRC / home
        yield from path.rglob("*.py") if path.is_dir() else (path,)


@pytest.mark.parametrize("name", sorted(messages()))
def test_every_field_is_read(name: str) -> None:
    read = frozenset[str]().union(*(names_read(path) for path in modules(name)))
    fields = {field.name for field in messages()[name].fields}
    unread = {field for field in fields if f"{name}.{field}" in UNREAD}
    assert fields - read - unread == set(), "done with, refused, or in UNREAD with a reason"


def test_the_exceptions_are_fields() -> None:
    fields = {f"{name}.{f.name}" for name, message in messages().items() for f in message.fields}
    assert set(UNREAD) <= fields
    assert set(HANDLED_IN) <= set(messages())
