"""How a build's error is kept: with all typed details, and with where it was raised."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback

from google.protobuf import any_pb2

from croze.aio.parallel import root_cause
from croze.api import stack_pb2
from croze.errors import Canceled
from croze.rpc.status import RpcStatus, to_status
from croze.version import VERSION

MEDIA_TYPE = "application/vnd.googeapis.google.rpc.status+proto"
"""Spelt as BuildKit spells it."""
_STACK = "github.com/moby/buildkit/stack.Stack+json"


def recorded(error: BaseException) -> RpcStatus:
    """The error of a failed build as its record keeps it: `google.rpc.Status`, with BuildKit's
    details."""
    cause = Canceled() if isinstance(error, asyncio.CancelledError) else root_cause(error)
    status = to_status(cause, plain=True)
    status.details.append(_stack(cause))
    return status


def _stack(error: BaseException) -> any_pb2.Any:
    """BuildKit's stack trace of another process, innermost frame first."""
    from google.protobuf import json_format  # for errors alone

    frames = [
        stack_pb2.Frame(Name=frame.name, File=frame.filename, Line=frame.lineno or 0)
        for frame in reversed(traceback.extract_tb(error.__traceback__))
    ]
    message = stack_pb2.Stack(frames=frames, cmdline=sys.argv, pid=os.getpid(), version=VERSION)
    text = json_format.MessageToJson(message, preserving_proto_field_name=True, indent=None)
    return any_pb2.Any(type_url=_STACK, value=text.encode())
