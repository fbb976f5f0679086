"""Serve: open the engine, listen, say so, and leave in good order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc.aio
from grpc.aio import Server

from croze.api import control_pb2_grpc, engine_pb2_grpc, gateway_pb2_grpc, why_pb2_grpc
from croze.daemon.control import ControlService
from croze.daemon.engine import Engine, running
from croze.daemon.flags import Settings
from croze.daemon.images_service import EngineService
from croze.daemon.listen import listening
from croze.daemon.why_service import WhyService
from croze.fs.pool import WorkerPool

log = logging.getLogger(__name__)

MESSAGE_LIMIT_BYTES = 16 << 20
STOP_GRACE_S = 1.0
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.http2.max_ping_strikes", 0),
)


async def serve(settings: Settings, pool: WorkerPool) -> None:
    """Run until a signal or, if so set, until idle. A second signal ends the wait for builds."""
    stop = asyncio.Event()
    with stopping_signals(stop):
        async with pool, running(settings, pool) as engine, asyncio.TaskGroup() as group:
            server = make_server(engine)
            tls, addresses = settings.config.grpc.tls, settings.addresses
            async with listening(server, addresses, tls, settings.group, settings.root):
                await server.start()
                collector = group.create_task(engine.gc.run())
                leaving = group.create_task(leave_when_idle(engine, settings, stop))
                settle_memory()
                announce(settings)
                await stop.wait()
                await server.stop(STOP_GRACE_S)
                collector.cancel()
                leaving.cancel()
    log.info("stopped")


def make_server(engine: Engine) -> Server:
    """All services on one gRPC server."""
    server = grpc.aio.server(options=OPTIONS)
    control_pb2_grpc.add_ControlServicer_to_server(ControlService(engine), server)
    engine_pb2_grpc.add_EngineServicer_to_server(EngineService(engine), server)
    why_pb2_grpc.add_WhyServicer_to_server(WhyService(engine), server)
    gateway_pb2_grpc.add_LLBBridgeServicer_to_server(engine.forwarder.servicer(), server)
    return server


@contextmanager
def stopping_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def leave_when_idle(engine: Engine, settings: Settings, stop: asyncio.Event) -> None:
    """For a daemon that was started on demand."""
    if settings.idle_timeout_s > 0:
        await engine.activity.wait_idle(settings.idle_timeout_s)
        log.info("nobody needs me any more")
        stop.set()


def settle_memory() -> None:
    """What is loaded now stays: keep Python's collector from going through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def announce(settings: Settings) -> None:
    """Tell whoever waits that we listen: a pipe's reader, systemd, the log."""
    (settings.root / "crozed.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
    if settings.ready_fd is not None:
        with suppress(OSError):
            os.write(settings.ready_fd, b"1")
            os.close(settings.ready_fd)
    notify_systemd(b"READY=1")
    for address in settings.addresses:
        log.info("running server on %s", address)


def notify_systemd(message: bytes) -> None:
    """sd_notify(3), without the library."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    address = "\0" + target[1:] if target.startswith("@") else str(Path(target))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):
        out.sendto(message, address)
