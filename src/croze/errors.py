"""Everything that can go wrong, as a small tree.

    CrozeError
    ├── InvalidRequest        the caller asked for something that can't be      INVALID_ARGUMENT
    ├── NotFound              a named thing does not exist                      NOT_FOUND
    ├── AlreadyExists         a name is taken                                   ALREADY_EXISTS
    ├── PermissionDenied      an entitlement or a credential is missing         PERMISSION_DENIED
    ├── Unsupported           this daemon or machine lacks it                   UNIMPLEMENTED
    ├── Unavailable           a peer can't be reached, now                      UNAVAILABLE
    ├── ResourceExhausted     disk, memory or a size limit                      RESOURCE_EXHAUSTED
    ├── Canceled              the wish for it went away                         CANCELLED
    ├── Corrupted             bytes are not what their digest says              DATA_LOSS
    └── ExitError             a process in a container failed                   UNKNOWN

`code` is the gRPC status name. `details` tell a client where to point: each becomes one of
BuildKit's typed error details on the wire (`croze.rpc.details`). An error does not change: what is
added to it on its way up makes another one, with the traceback of the first. So several builds may
have the same error, and each adds to it what it knows.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import ClassVar, Self

from msgspec import Struct, field


class Position(Struct, frozen=True):
    """A place in a text. Lines count from 1, characters from 0."""

    line: int
    character: int = 0


class Range(Struct, frozen=True):
    """A part of a text, from `start` to `end`, both included."""

    start: Position
    end: Position


class SourceDetail(Struct, frozen=True):
    """Lines of a user's file: what a client prints as an excerpt."""

    filename: str
    data: bytes
    ranges: tuple[Range, ...]
    language: str = "Dockerfile"
    definition: bytes = b""
    """A marshalled `pb.Definition` of the file's origin, or empty."""


class VertexDetail(Struct, frozen=True):
    """The vertex that failed."""

    digest: str


class FailedAction(Struct, frozen=True):
    """The action of a file op that failed."""

    index: int


class FailedContent(Struct, frozen=True):
    """The input whose content could not be read for its cache key."""

    index: int


class SolveDetail(Struct, frozen=True):
    """The op that failed and the refs a client may open a container on to look around."""

    op: bytes
    """The marshalled `pb.Op`."""
    description: dict[str, str] = field(default_factory=dict)
    input_ids: tuple[str, ...] = ()
    mount_ids: tuple[str, ...] = ()
    subject: FailedAction | FailedContent | None = None


class FrontendCapDetail(Struct, frozen=True):
    """A frontend capability that is missing."""

    name: str


class SubrequestDetail(Struct, frozen=True):
    """A subrequest the frontend does not know."""

    name: str


class CompatibilityDetail(Struct, frozen=True):
    """Something that the compatibility version asked for did not have."""

    version: int
    feature: str


class PolicyDetail(Struct, frozen=True):
    """Why a policy of the client refused a source, in its own words."""

    messages: tuple[str, ...]


class MissingMaterial(Struct, frozen=True):
    """Something that a build used and provenance can't name by digest, and why."""

    name: str
    reason: str
    op: str = ""
    """The digest of the step that used it."""
    method: str = ""
    uri: str = ""


class MaterialsDetail(Struct, frozen=True):
    """What is missing in provenance that should be complete."""

    missing: tuple[MissingMaterial, ...]


class StackFrame(Struct, frozen=True):
    """A place in a program."""

    name: str
    file: str
    line: int


class StackDetail(Struct, frozen=True):
    """Where in a program an error arose, the innermost place first; and which program that is."""

    frames: tuple[StackFrame, ...]
    command: tuple[str, ...] = ()
    pid: int = 0
    version: str = ""


Detail = (
    MaterialsDetail
    | StackDetail
    | CompatibilityDetail
    | PolicyDetail
    | SourceDetail
    | VertexDetail
    | SolveDetail
    | FrontendCapDetail
    | SubrequestDetail
)


class CrozeError(Exception):
    """Base of all errors meant for a user: `str(error)` is the one clear message."""

    code: ClassVar[str] = "UNKNOWN"
    record: str = ""
    """How the user's history knows the build that failed. It does not travel."""
    keeps_code: bool = False
    """Whether clients are told the code: they act on it, or it is what a session has ended a call
    with."""

    def __init__(self, message: str, *details: Detail) -> None:
        super().__init__(message)
        self.details: tuple[Detail, ...] = details

    def __reduce__(self) -> tuple[object, ...]:
        """Copied and pickled as it is, however it is made."""
        return _revived, (type(self), self.args, self.__dict__)

    def with_detail(self, *details: Detail) -> Self:
        """A new error with these details behind its own, but no equal one twice."""
        own_details = list(self.details)
        own_details.extend(detail for detail in details if detail not in own_details)
        return self.with_details(own_details)

    def with_details(self, details: Iterable[Detail]) -> Self:
        """A new error with these details in place of its own."""
        changed = self._again(self.args)
        changed.details = tuple(details)
        return changed

    def of_record(self, record: str) -> Self:
        """A new error, of the build that the history knows so."""
        changed = self._again(self.args)
        changed.record = record
        return changed

    def with_code(self) -> Self:
        """A new error whose code clients are told."""
        changed = self._again(self.args)
        changed.keeps_code = True
        return changed

    def wrap(self, prefix: str) -> Self:
        """A new error whose message has `prefix: ` in front."""
        return self.with_message(f"{prefix}: {self}")

    def with_message(self, message: str) -> Self:
        """A new error that says this instead."""
        return self._again((message, *self.args[1:]))

    def _again(self, args: tuple[object, ...]) -> Self:
        """A new error with these arguments, otherwise equal, and raised where this one was
        raised."""
        other = type(self).__new__(type(self), *args)
        other.args = args
        other.__dict__.update(self.__dict__)
        other.__cause__, other.__context__ = self.__cause__, self.__context__
        other.__suppress_context__ = self.__suppress_context__
        return other.with_traceback(self.__traceback__)


def _revived(
    cls: type[CrozeError], args: tuple[object, ...], state: dict[str, object]
) -> CrozeError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class InvalidRequest(CrozeError):
    """What was asked for can't be: a malformed file, flag, reference or message."""

    code = "INVALID_ARGUMENT"


class NotFound(CrozeError):
    """Something that was named does not exist."""

    code = "NOT_FOUND"


class UnknownJob(NotFound):
    """No build has this id, not yet or no more."""

    keeps_code = True


class SessionMissing(NotFound):
    """A client that was to lend something did not come in time, or has gone."""

    code = "DEADLINE_EXCEEDED"
    keeps_code = True


class AlreadyExists(CrozeError):
    """The name is taken."""

    code = "ALREADY_EXISTS"


class PermissionDenied(CrozeError):
    """An entitlement was not granted, or credentials are missing or refused."""

    code = "PERMISSION_DENIED"


class Unsupported(CrozeError):
    """This daemon or machine lacks what was asked for. Trying again does not help."""

    code = "UNIMPLEMENTED"


class Unavailable(CrozeError):
    """A peer (a daemon, a registry, a session) can't be reached, or went away. Trying again may
    help."""

    code = "UNAVAILABLE"


class ResourceExhausted(CrozeError):
    """A disk, memory or a size limit is full."""

    code = "RESOURCE_EXHAUSTED"


class Canceled(CrozeError):
    """The build, or the wish for an answer, has gone away. Not `asyncio.CancelledError`, which ends
    the task that it is raised in."""

    code = "CANCELLED"

    def __init__(self, message: str = "context canceled", *details: Detail) -> None:
        super().__init__(message, *details)


class Corrupted(CrozeError):
    """Bytes are not what their digest says."""

    code = "DATA_LOSS"


class ExitError(CrozeError):
    """A process in a container ended with a code that is not accepted."""

    def __init__(self, message: str, exit_code: int, *details: Detail) -> None:
        super().__init__(message, *details)
        self.exit_code = exit_code


def noted(error: Exception) -> str:
    """What an error says, after what was noted of where it came from."""
    return ": ".join((*getattr(error, "__notes__", ()), str(error)))


def os_reason(error: OSError) -> str:
    """Why the system has refused, as Go prints it: `no such file or directory`."""
    return (error.strerror or str(error)).lower()


def os_message(error: OSError) -> str:
    """`open Dockerfile: no such file or directory`, near enough to what Go prints."""
    text = error.strerror or str(error)
    if error.errno:
        text = text[:1].lower() + text[1:]
    return f"{error.filename}: {text}" if error.filename else text


def as_own(error: Exception) -> CrozeError:
    """The error, if it is one of ours; else one that a user may see."""
    if isinstance(error, CrozeError):
        return error
    if not isinstance(error, OSError):
        return CrozeError(str(error) or type(error).__name__)
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return (ResourceExhausted if is_full else CrozeError)(os_message(error))
