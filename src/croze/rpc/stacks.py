"""Where an error arose, as BuildKit has it travel with the error: `util/stack`.

`docker buildx --debug` and `buildctl --debug` print it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import TracebackType

from croze import errors
from croze.version import BUILDKIT_VERSION

_MOST_FRAMES = 50
_MOST_STACKS = 8


def stacks(error: BaseException) -> Iterator[errors.StackDetail]:
    """The stacks of an error and of those that it was made of, the first of them first, without
    those that another begins with. `AlreadyExists` is an answer, of which a cached build has many:
    it has none."""
    if isinstance(error, errors.AlreadyExists):
        return
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain and len(chain) < _MOST_STACKS:
        chain.append(following)
        following = following.__cause__ or following.__context__
    traces: list[tuple[errors.StackFrame, ...]] = []
    for each in chain:
        frames = _frames(each.__traceback__)
        if frames and not any(outer[: len(frames)] == frames for outer in traces):
            traces.append(frames)
    for frames in reversed(traces):
        yield errors.StackDetail(frames, _command(), os.getpid(), BUILDKIT_VERSION)


def _command() -> tuple[str, ...]:
    """How this daemon was called. Of a client it is the name alone: what it is called with may be
    secret, and records of builds keep errors."""
    name = os.path.basename(sys.argv[0])
    return (name, *sys.argv[1:]) if name == "crozed" else (name,)


def _frames(traceback: TracebackType | None) -> tuple[errors.StackFrame, ...]:
    frames: list[errors.StackFrame] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        file = _file_of(module, code.co_filename)
        name = f"{module}.{code.co_qualname}"
        frames.append(errors.StackFrame(name, file, traceback.tb_lineno))
        traceback = traceback.tb_next
    return tuple(frames[: -_MOST_FRAMES - 1 : -1])


def _file_of(module: str, path: str) -> str:
    """A module's file, below the directory that it is imported from: where that is, as in
    somebody's home, is the machine's own."""
    parts = path.split(os.sep)
    depth = module.count(".") + (2 if parts[-1] == "__init__.py" else 1)
    return "/".join(parts[-depth:])


def stack_lines(detail: errors.StackDetail) -> Iterator[str]:
    """A stack as BuildKit's clients print it."""
    yield " ".join([str(detail.pid), detail.version, *detail.command])
    for frame in detail.frames:
        yield f"{frame.name}\n\t{frame.file}:{frame.line}"
    yield ""
