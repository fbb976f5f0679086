"""What the warm process imports ahead of time, so that a forked command imports nothing.

Imports only: no thread, no connection, no event loop may come of it.
"""

import asyncio  # noqa: F401
import socket  # noqa: F401
import subprocess  # noqa: F401
import tempfile  # noqa: F401

import grpc  # noqa: F401
import grpc.aio  # noqa: F401

import croze.api.control_pb2_grpc
import croze.api.engine_pb2_grpc
import croze.client.options
import croze.drivers.local
import croze.progress.errors
import croze.progress.plain
import croze.progress.tty
