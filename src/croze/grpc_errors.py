"""Errors on the wire: `CrozeError` to gRPC status and back.

A status travels as `google.rpc.Status` in the trailer `grpc-status-details-bin`. Its details are
BuildKit's typed errors (`util/grpcerrors`, `solver/errdefs`): an `Any` whose type URL is
`github.com/moby/buildkit/errdefs.<Name>+json` and whose value is JSON. `Solve` is proto-JSON, the
others use the field names of the `.proto`.

BuildKit reports nearly every error as `UNKNOWN`, and its clients put any other code in front of the
message. So the services of the daemon send `UNKNOWN`, and the real code in a detail of our own that
other clients ignore (`plain`, the default).
"""

from __future__ import annotations

import asyncio
import errno
import functools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, fields
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message
from google.rpc import status_pb2  # type: ignore[import-untyped]
from grpc._cython import cygrpc  # type: ignore[attr-defined]

from croze import errors
from croze.api import errdefs_pb2, ops_pb2
from croze.files.redact import redact_text
from croze.gotypes.strings import shown
from croze.rpc.channels import HEADERS_LIMIT_BYTES

log = logging.getLogger(__name__)

DETAILS_KEY = "grpc-status-details-bin"
_BUILDKIT = "github.com/moby/buildkit/errdefs."
_DECISION = "github.com/moby/buildkit/policysession.DecisionResponse+json"
_EXIT = "github.com/moby/buildkit/gatewayapi.ExitMessage+json"
_DENY = 1
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

_NUMBERS = {code.value[0]: code for code in grpc.StatusCode}

R = TypeVar("R")

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
"""The context of any call, whatever its messages."""


# -- error to status ------------------------------------------------------------------------


def root_cause(error: BaseException) -> BaseException:
    """The one error of an exception group that a user should see: a `CrozeError` if there is one,
    else the first that is not a mere cancellation."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [root_cause(inner) for inner in error.exceptions]
    ranked = sorted(leaves, key=_noise)
    return ranked[0]


def _noise(error: BaseException) -> int:
    if isinstance(error, errors.Canceled | asyncio.CancelledError):
        return 2
    return 0 if isinstance(error, errors.CrozeError) else 1


def as_croze_error(error: BaseException) -> errors.CrozeError:
    """Any exception as the error a user may see."""
    error = root_cause(error)
    if isinstance(error, errors.CrozeError):
        return error
    if isinstance(error, grpc.RpcError):
        return from_rpc_error(error)
    if isinstance(error, asyncio.CancelledError):
        return errors.Canceled()
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return errors.ResourceExhausted(errors.os_message(error))
    if isinstance(error, OSError):
        return errors.CrozeError(errors.os_message(error))
    return errors.CrozeError(str(error) or type(error).__name__)


def to_status(error: BaseException, *, plain: bool = False) -> status_pb2.Status:
    """The status of an error; `plain` hides all codes but those of what was cancelled and of
    builds that nobody knows (see the module)."""
    known = as_croze_error(error)
    code = grpc.StatusCode[known.code]
    details = [_encode(detail) for detail in known.details]
    if isinstance(known, errors.ExitError):
        details.append(
            any_pb2.Any(type_url=_EXIT, value=json.dumps({"Code": known.exit_code}).encode())
        )
    plain = plain and code is not grpc.StatusCode.CANCELLED
    plain = plain and not isinstance(known, errors.UnknownJob)
    if plain or isinstance(known, errors.ExitError):
        details.append(_encode_own_code(known))
        code = grpc.StatusCode.UNKNOWN if plain else code
    message = redact_text(shown(str(known)))
    return _fitting(status_pb2.Status(code=code.value[0], message=message, details=details))


def _fitting(status: status_pb2.Status) -> status_pb2.Status:
    """Without what no peer would take: a status travels as headers, and they are limited. The
    largest details go first; they are those with whole files in them."""
    if len(status.message) > _MESSAGE_LIMIT:
        status.message = status.message[:_MESSAGE_LIMIT] + " …"
    while status.ByteSize() > _STATUS_LIMIT_BYTES and status.details:
        sizes = [detail.ByteSize() for detail in status.details]
        del status.details[sizes.index(max(sizes))]
    return status


def _encode_own_code(error: errors.CrozeError) -> any_pb2.Any:
    value: dict[str, str | int] = {"code": error.code}
    if isinstance(error, errors.ExitError):
        value["exit_code"] = error.exit_code
    return any_pb2.Any(type_url=_OWN_CODE, value=json.dumps(value).encode())


def _encode(detail: errors.Detail) -> any_pb2.Any:
    match detail:
        case errors.VertexDetail():
            return _any("Vertex", {"digest": detail.digest})
        case errors.FrontendCapDetail():
            return _any("FrontendCap", {"name": detail.name})
        case errors.SubrequestDetail():
            return _any("Subrequest", {"name": detail.name})
        case errors.CompatibilityDetail(version, feature):
            return _any("CompatibilityFeature", {"version": version, "feature": feature})
        case errors.MaterialsDetail(missing):
            listed = [_told(asdict(each)) for each in missing]
            return _any("ProvenanceMaterialsIncomplete", {"incomplete": listed} if listed else {})
        case errors.SourceDetail():
            return _any("Source", _source_json(detail))
        case errors.SolveDetail():
            return _any("Solve", _solve_json(detail))
        case errors.PolicyDetail():
            said = [{"message": message} for message in detail.messages]
            value = json.dumps({"action": _DENY, "denyMessages": said})
            return any_pb2.Any(type_url=_DECISION, value=value.encode())


def _any(name: str, value: dict[str, object]) -> any_pb2.Any:
    return any_pb2.Any(type_url=f"{_BUILDKIT}{name}+json", value=json.dumps(value).encode())


def source_info(detail: errors.SourceDetail) -> ops_pb2.SourceInfo:
    """`pb.SourceInfo` of a detail; also what a warning carries."""
    name = shown(detail.filename)
    info = ops_pb2.SourceInfo(filename=name, data=detail.data, language=detail.language)
    if detail.definition:
        info.definition.ParseFromString(detail.definition)
    return info


def wire_range(where: errors.Range) -> ops_pb2.Range:
    return ops_pb2.Range(
        start=ops_pb2.Position(line=where.start.line, character=where.start.character),
        end=ops_pb2.Position(line=where.end.line, character=where.end.character),
    )


def _source_json(detail: errors.SourceDetail) -> dict[str, object]:
    message = errdefs_pb2.Source(
        info=source_info(detail), ranges=[wire_range(where) for where in detail.ranges]
    )
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _solve_json(detail: errors.SolveDetail) -> dict[str, object]:
    message = errdefs_pb2.Solve(
        inputIDs=detail.input_ids, mountIDs=detail.mount_ids, description=detail.description
    )
    if detail.op:
        message.op.ParseFromString(detail.op)
    match detail.subject:
        case errors.FailedAction(index):
            message.file.index = index
        case errors.FailedContent(index):
            message.cache.index = index
    return json_format.MessageToDict(message, always_print_fields_with_no_presence=False)


# -- status to error ------------------------------------------------------------------------


def from_status(status: status_pb2.Status) -> errors.CrozeError:
    """The error a peer meant. Its message is what BuildKit's own clients print."""
    code = _NUMBERS.get(status.code, grpc.StatusCode.UNKNOWN).name
    prefix = _GO_NAMES.get(code)
    message = f"{prefix}: {status.message}" if prefix else status.message
    own = next((_load(d.value) for d in status.details if d.type_url == _OWN_CODE), {})
    ended = next((_load(d.value) for d in status.details if d.type_url == _EXIT), {})
    own = {"exit_code": ended["Code"], **own} if "Code" in ended else own
    found = (_decode(detail) for detail in status.details)
    return _make(own, code, message, [detail for detail in found if detail is not None])


def without_code(error: errors.CrozeError) -> errors.CrozeError:
    """The same, without the code that came in front of its message."""
    prefix = f"{_GO_NAMES.get(error.code, '')}: "
    text = str(error)
    if prefix == ": " or not text.startswith(prefix):
        return error
    return type(error)(text.removeprefix(prefix), *error.details)


def _load(value: bytes) -> dict[str, object]:
    try:
        loaded = json.loads(value)
    except ValueError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


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


def status_of(error: grpc.RpcError) -> status_pb2.Status:
    """The status of a failed call, with details if the peer sent any."""
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(error))
    if not isinstance(error, grpc.aio.AioRpcError | grpc.Call):
        return status
    code = error.code() or grpc.StatusCode.UNKNOWN
    status = status_pb2.Status(code=code.value[0], message=error.details() or "")
    for datum in error.trailing_metadata() or ():
        key, value = _pair(datum)
        if key == DETAILS_KEY and isinstance(value, bytes):
            status.ParseFromString(value)
    return status


def _pair(datum: object) -> tuple[object, object]:
    """A metadatum is a pair at run time, whatever the stubs say."""
    if isinstance(datum, tuple) and len(datum) == 2:
        return datum[0], datum[1]
    return None, None


def _decode(detail: any_pb2.Any) -> errors.Detail | None:
    name = detail.type_url.removeprefix(_BUILDKIT).removesuffix("+json")
    value = _load(detail.value)
    if detail.type_url == _DECISION:
        said = value.get("denyMessages")
        messages = said if isinstance(said, list) else []
        return errors.PolicyDetail(tuple(str(m.get("message", "")) for m in messages))
    match name:
        case "Vertex":
            return errors.VertexDetail(str(value.get("digest", "")))
        case "FrontendCap":
            return errors.FrontendCapDetail(str(value.get("name", "")))
        case "Subrequest":
            return errors.SubrequestDetail(str(value.get("name", "")))
        case "CompatibilityFeature":
            version, feature = value.get("version", 0), value.get("feature", "")
            return errors.CompatibilityDetail(int(str(version)), str(feature))
        case "ProvenanceMaterialsIncomplete":
            return _decode_materials(value.get("incomplete"))
        case "Source":
            return _decode_source(detail.value)
        case "Solve":
            return _decode_solve(detail.value)
    return None


def _told(values: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


def _decode_materials(listed: object) -> errors.MaterialsDetail:
    given = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return errors.MaterialsDetail(
        tuple(
            errors.MissingMaterial(
                **{f.name: str(each.get(f.name, "")) for f in fields(errors.MissingMaterial)}
            )
            for each in given
        )
    )


def _decode_source(value: bytes) -> errors.SourceDetail | None:
    message = errdefs_pb2.Source()
    try:
        json_format.Parse(value, message, ignore_unknown_fields=True)
    except json_format.ParseError:
        return None
    return source_detail(message.info, list(message.ranges))


def source_detail(info: ops_pb2.SourceInfo, ranges: list[ops_pb2.Range]) -> errors.SourceDetail:
    return errors.SourceDetail(
        filename=info.filename,
        data=info.data,
        ranges=tuple(own_range(where) for where in ranges),
        language=info.language,
        definition=info.definition.SerializeToString() if info.HasField("definition") else b"",
    )


def own_range(where: ops_pb2.Range) -> errors.Range:
    return errors.Range(
        errors.Position(where.start.line, where.start.character),
        errors.Position(where.end.line, where.end.character),
    )


def _decode_solve(value: bytes) -> errors.SolveDetail | None:
    message = errdefs_pb2.Solve()
    try:
        json_format.Parse(value, message, ignore_unknown_fields=True)
    except json_format.ParseError:
        return None
    return errors.SolveDetail(
        op=message.op.SerializeToString() if message.HasField("op") else b"",
        description=dict(message.description),
        input_ids=tuple(message.inputIDs),
        mount_ids=tuple(message.mountIDs),
    )


# -- for servicers and clients --------------------------------------------------------------


async def abort(context: Context, error: BaseException, *, plain: bool = True) -> None:
    """End a call with the status of `error`. Always raises."""
    status = to_status(error, plain=plain)
    trailer = ((DETAILS_KEY, status.SerializeToString()),) if status.details else ()
    await context.abort(_NUMBERS[status.code], status.message, trailer)


@asynccontextmanager
async def aborting(context: Context, *, plain: bool = True) -> AsyncIterator[None]:
    """Inside a servicer's method: any error ends the call with its status. A cancellation that
    comes from the peer goes on; one from within is reported as `CANCELLED`.

    With `plain` the code is `UNKNOWN`, as BuildKit's own services have it for nearly all; without
    where peers look at the code: the services of containerd, and those of a session.
    """
    try:
        yield
    except (grpc.aio.AbortError, GeneratorExit):
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        await abort(context, error, plain=plain)
    except BaseException as error:
        cause = root_cause(error)
        if isinstance(cause, KeyboardInterrupt | SystemExit | grpc.aio.AbortError):
            raise
        if not isinstance(cause, errors.CrozeError | grpc.RpcError | OSError):
            log.error("call failed", exc_info=error)
        await abort(context, cause, plain=plain)


S = TypeVar("S")
Q = TypeVar("Q")


def unary(
    method: Callable[[S, Q, Context], Awaitable[R]],
) -> Callable[[S, Q, Context], Awaitable[R]]:
    """Decorator of a servicer's method with one answer: `aborting` around it."""
    return _unary(method, plain=True)


def coded_unary(
    method: Callable[[S, Q, Context], Awaitable[R]],
) -> Callable[[S, Q, Context], Awaitable[R]]:
    """`unary` for peers that look at the code."""
    return _unary(method, plain=False)


def _unary(
    method: Callable[[S, Q, Context], Awaitable[R]], *, plain: bool
) -> Callable[[S, Q, Context], Awaitable[R]]:
    @functools.wraps(method)
    async def call(self: S, request: Q, context: Context) -> R:
        async with aborting(context, plain=plain):
            return await method(self, request, context)
        raise AssertionError("aborting always raises")

    return call


@contextmanager
def translated() -> Iterator[None]:
    """Around a client's call: a failed call raises its `CrozeError`."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_rpc_error(error) from None


W = TypeVar("W", bound=bytes | Message)


async def write_to(call: grpc.aio.StreamStreamCall[W, Any], message: W) -> None:
    """`call.write`, but when the peer has ended the call, this raises the status it ended with.

    grpcio's own `write` overwrites that status with "Internal error from Core", hence the way
    around it.
    """
    data = message if isinstance(message, bytes) else message.SerializeToString()
    await call.wait_for_connection()
    try:
        await call._cython_call.send_serialized_message(data)  # type: ignore[attr-defined]
    except asyncio.CancelledError:
        call.cancel()
        raise
    except cygrpc.InternalError:
        await _raise_status_of(call)


async def _raise_status_of(call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
    code = await call.code()
    if code is grpc.StatusCode.OK:
        raise errors.Unavailable("the other side ended the call too early") from None
    raise grpc.aio.AioRpcError(
        code,
        await call.initial_metadata(),
        await call.trailing_metadata(),
        await call.details(),
        None,
    ) from None
