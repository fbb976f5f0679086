"""Rules for what a build may use, from the user's file (`sourcepolicy.Policy`)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from croze.errors import InvalidRequest, os_reason
from croze.gotypes.quote import quote

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor

    from croze.api import policy_pb2

VARIABLE = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"


def from_environment() -> bytes:
    """The rules in the file that the environment names, marshalled; empty if there is none."""
    path = os.environ.get(VARIABLE, "")
    return read(Path(path)) if path else b""


def read(path: Path) -> bytes:
    """The rules in a file, which is JSON or a marshalled message. Raises `InvalidRequest`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = os_reason(error)
        raise InvalidRequest(f"failed to read policy file: open {path}: {reason}") from None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        return _from_message(data, error).SerializeToString()
    return _from_json(value).SerializeToString()


def _from_message(data: bytes, no_json: Exception) -> policy_pb2.Policy:
    from google.protobuf.message import DecodeError

    from croze.api import policy_pb2
    from croze.gotypes.json_text import syntax_error

    try:
        return policy_pb2.Policy.FromString(data)
    except DecodeError:
        reason = syntax_error(data) or no_json
        raise InvalidRequest(f"failed to parse source policy: {reason}") from None


def _from_json(value: object) -> policy_pb2.Policy:
    """Keys that are not known are passed over, as BuildKit passes over them."""
    from google.protobuf import json_format

    from croze.api import policy_pb2

    policy = policy_pb2.Policy()
    if value is None:
        return policy
    if not isinstance(value, dict):
        raise InvalidRequest("failed to parse source policy: a policy is an object")
    try:
        _check_words(value, policy.DESCRIPTOR)
        json_format.ParseDict(value, policy, ignore_unknown_fields=True)
    except (json_format.ParseError, InvalidRequest, RecursionError) as error:
        raise InvalidRequest(f"failed to parse source policy: {error}") from None
    return policy


def _check_words(value: dict[str, object], kind: Descriptor) -> None:
    """See that each word of a rule is one of those that there are: where keys are passed over,
    protobuf passes over words, too, and a rule that denies would be one that allows. Raises
    `InvalidRequest`."""
    for field in kind.fields:
        for name in {field.name, field.json_name} & value.keys():
            member = value[name]
            for each in member if isinstance(member, list) else (member,):
                if field.enum_type is not None:
                    _check_word(each, field.enum_type)
                elif field.message_type is not None and isinstance(each, dict):
                    _check_words(each, field.message_type)


def _check_word(word: object, kind: EnumDescriptor) -> None:
    if isinstance(word, str) and word not in kind.values_by_name:
        raise InvalidRequest(f"unrecognized enum {kind.values[0].name} value {quote(word)}")
    if isinstance(word, int) and word not in kind.values_by_number:
        raise InvalidRequest(f"invalid {kind.name} value: {word}")
