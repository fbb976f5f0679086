"""Errors on the wire: `CrozeError` to gRPC status and back.

A status travels as `google.rpc.Status` in the trailer `grpc-status-details-bin`, with BuildKit's
typed errors as its `details`. protobuf is loaded with the first status that is made: a server that
has yet to answer anybody does without.

BuildKit reports nearly every error as `UNKNOWN`, and its clients put any other code in front of the
message. So the services of the daemon send `UNKNOWN`, and the real code in a detail of our own that
other clients ignore (`plain`, the default).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, MutableSequence
from typing import TYPE_CHECKING, Protocol

from croze import errors
from croze.aio.parallel import root_cause
from croze.files.redact import redact_text
from croze.gotypes.strings import shown
from croze.rpc.details import decode, encode, load
from croze.rpc.library import grpc
from croze.rpc.limits import HEADERS_LIMIT_BYTES

if TYPE_CHECKING:
    from google.protobuf import any_pb2

DETAILS_KEY = "grpc-status-details-bin"

_EXIT = "github.com/moby/buildkit/gatewayapi.ExitMessage+json"

_OWN_CODE = "croze.v1/Code+json"

_MESSAGE_LIMIT = 256 * 1024
"""Characters; of four bytes each, and as `%XX`, they are 3 MiB."""

_STATUS_LIMIT_BYTES = HEADERS_LIMIT_BYTES // 2
"""As base64 10.7 MiB, which with the message leaves room for other headers."""

_CLASSES: dict[str, type[errors.CrozeError]] = {
    cls.code: cls
    for cls in (
        errors.InvalidRequest,
        errors.NotFound,
        errors.AlreadyExists,
        errors.PermissionDenied,
        errors.Unsupported,
        errors.Unavailable,
        errors.ResourceExhausted,
        errors.Canceled,
        errors.Corrupted,
    )
}

_GO_NAMES = {
    "CANCELLED": "Canceled",
    "INVALID_ARGUMENT": "InvalidArgument",
    "DEADLINE_EXCEEDED": "DeadlineExceeded",
    "NOT_FOUND": "NotFound",
    "ALREADY_EXISTS": "AlreadyExists",
    "PERMISSION_DENIED": "PermissionDenied",
    "RESOURCE_EXHAUSTED": "ResourceExhausted",
    "FAILED_PRECONDITION": "FailedPrecondition",
    "ABORTED": "Aborted",
    "OUT_OF_RANGE": "OutOfRange",
    "UNIMPLEMENTED": "Unimplemented",
    "INTERNAL": "Internal",
    "UNAVAILABLE": "Unavailable",
    "DATA_LOSS": "DataLoss",
    "UNAUTHENTICATED": "Unauthenticated",
}
"""How BuildKit's clients spell a code in front of a message."""

NUMBERS = {code.value[0]: code for code in grpc.StatusCode}


class RpcStatus(Protocol):
    """`google.rpc.Status`, how a call has ended. protobuf's own class comes without types."""

    code: int
    message: str

    @property
    def details(self) -> MutableSequence[any_pb2.Any]:
        """Typed errors, any number."""

    def ByteSize(self) -> int:
        """The length of the serialised message, in bytes."""

    def SerializeToString(self) -> bytes:
        """The serialised message."""

    def ParseFromString(self, data: bytes, /) -> int:
        """Read the serialised message. Raises protobuf's `DecodeError`."""


def status(code: int, message: str = "", details: Iterable[any_pb2.Any] = ()) -> RpcStatus:
    """A status of this code, by its number."""
    from google.rpc import status_pb2  # type: ignore[import-untyped]

    outcome: RpcStatus = status_pb2.Status(code=code, message=message, details=details)
    return outcome


def as_croze_error(error: BaseException) -> errors.CrozeError:
    """Any exception as the error a user may see."""
    error = root_cause(error)
    if isinstance(error, grpc.RpcError):
        return from_rpc_error(error)
    if isinstance(error, asyncio.CancelledError):
        return errors.Canceled()
    if isinstance(error, Exception):
        return errors.as_own(error)
    return errors.CrozeError(str(error) or type(error).__name__)


def to_status(error: BaseException, *, plain: bool = False) -> RpcStatus:
    """The status of an error; `plain` hides all codes but those of what was cancelled, and of
    errors that keep theirs (see the module)."""
    from google.protobuf import any_pb2

    from croze.rpc.stacks import stacks

    own = as_croze_error(error)
    code = grpc.StatusCode[own.code]
    details = [encode(detail) for detail in own.details]
    if isinstance(own, errors.ExitError):
        details.append(
            any_pb2.Any(type_url=_EXIT, value=json.dumps({"Code": own.exit_code}).encode())
        )
    plain = plain and code is not grpc.StatusCode.CANCELLED
    plain = plain and not own.keeps_code
    if plain or isinstance(own, errors.ExitError):
        details.append(_encode_own_code(own))
        code = grpc.StatusCode.UNKNOWN if plain else code
    details += [encode(each) for each in stacks(root_cause(error))]
    message = redact_text(shown(str(own)))
    return _fitting(status(code.value[0], message, details))


def _fitting(status: RpcStatus) -> RpcStatus:
    """The status without what no peer would take: a status travels as headers, and they are
    limited. The largest details go first; they are those with whole files in them."""
    if len(status.message) > _MESSAGE_LIMIT:
        status.message = status.message[:_MESSAGE_LIMIT] + " …"
    while status.ByteSize() > _STATUS_LIMIT_BYTES and status.details:
        sizes = [detail.ByteSize() for detail in status.details]
        del status.details[sizes.index(max(sizes))]
    return status


def _encode_own_code(error: errors.CrozeError) -> any_pb2.Any:
    from google.protobuf import any_pb2

    value: dict[str, str | int] = {"code": error.code}
    if isinstance(error, errors.ExitError):
        value["exit_code"] = error.exit_code
    return any_pb2.Any(type_url=_OWN_CODE, value=json.dumps(value).encode())


def from_status(status: RpcStatus) -> errors.CrozeError:
    """The error a peer meant. Its message is what BuildKit's own clients print."""
    code = _code(status)
    prefix = _GO_NAMES.get(code)
    return _read(status, code, f"{prefix}: {status.message}" if prefix else status.message)


def from_returned_status(status: RpcStatus) -> errors.CrozeError:
    """The error that a frontend has returned. Its code is kept beside its message, as that is what
    the frontend's client is told; a code that there is no class for goes in front."""
    code = _code(status)
    error = _read(status, code, status.message)
    if code == grpc.StatusCode.UNKNOWN.name:
        return error
    return error.with_code() if error.code == code else from_status(status)


def in_go_words(error: errors.CrozeError) -> errors.CrozeError:
    """The error as Go's gRPC makes one of a code: clients are told it, and the message says it.
    For errors that BuildKit makes so."""
    return error.with_message(_go_words(error.code, str(error))).with_code()


def _go_words(code: str, message: str) -> str:
    return f"rpc error: code = {_GO_NAMES.get(code, 'Unknown')} desc = {message}"


def from_stream_status(status: RpcStatus) -> errors.CrozeError:
    """The error that a client has ended a stream with, in the words in which BuildKit passes it on:
    those that Go has for a status. A stream that broke, or was given up, has ended with none."""
    code = _code(status)
    if code in ("CANCELLED", "UNAVAILABLE"):
        return from_status(status)
    return _read(status, code, _go_words(code, status.message)).with_code()


def _code(status: RpcStatus) -> str:
    return NUMBERS.get(status.code, grpc.StatusCode.UNKNOWN).name


def _read(status: RpcStatus, code: str, message: str) -> errors.CrozeError:
    own = next((load(d.value) for d in status.details if d.type_url == _OWN_CODE), {})
    ended = next((load(d.value) for d in status.details if d.type_url == _EXIT), {})
    own = {"exit_code": ended["Code"], **own} if "Code" in ended else own
    details = (decode(detail) for detail in status.details)
    return _make(own, code, message, [detail for detail in details if detail is not None])


def without_code(error: errors.CrozeError) -> errors.CrozeError:
    """The error without the code that gRPC's clients put in front of its message (`NotFound:
    …`)."""
    prefix = f"{_GO_NAMES.get(error.code, '')}: "
    text = str(error)
    if prefix == ": " or not text.startswith(prefix):
        return error
    return type(error)(text.removeprefix(prefix), *error.details)


def _make(
    own: dict[str, object], code: str, message: str, details: list[errors.Detail]
) -> errors.CrozeError:
    exit_code = own.get("exit_code")
    if isinstance(exit_code, int):
        return errors.ExitError(message, exit_code, *details)
    cls = _CLASSES.get(str(own.get("code", code)), errors.CrozeError)
    return cls(message, *details)


def from_rpc_error(error: grpc.RpcError) -> errors.CrozeError:
    """The error behind a failed call."""
    status = status_of(error)
    return from_status(status)


def status_of(error: grpc.RpcError) -> RpcStatus:
    """The status of a failed call, with details if the peer sent any."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return status(grpc.StatusCode.UNKNOWN.value[0], str(error))
    code = error.code() or grpc.StatusCode.UNKNOWN
    outcome = status(code.value[0], error.details() or "")
    for datum in error.trailing_metadata() or ():
        key, value = _pair(datum)
        if key == DETAILS_KEY and isinstance(value, bytes):
            outcome.ParseFromString(value)
    return outcome


def _pair(datum: object) -> tuple[object, object]:
    """A metadatum is a pair at run time, whatever the stubs say."""
    if isinstance(datum, tuple) and len(datum) == 2:
        return datum[0], datum[1]
    return None, None
