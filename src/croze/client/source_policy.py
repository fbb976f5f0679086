"""Rules for what a build may use, from the user's file (`sourcepolicy.Policy`)."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"


def from_environment() -> bytes:
    """The rules in the file that the environment names, marshalled; empty if there is none."""
    path = os.environ.get(VARIABLE, "")
    return read(Path(path)) if path else b""


def read(path: Path) -> bytes:
    """The rules in a file, which is JSON or a marshalled message. Raises `InvalidRequest`."""
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError

    from croze.api import policy_pb2
    from croze.errors import InvalidRequest

    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"failed to read policy file: open {path}: {reason}") from None
    policy = policy_pb2.Policy()
    try:
        json_format.Parse(data, policy, ignore_unknown_fields=True)
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        try:
            policy = policy_pb2.Policy.FromString(data)
        except DecodeError:
            raise InvalidRequest(f"failed to parse source policy: {error}") from None
    return policy.SerializeToString()
