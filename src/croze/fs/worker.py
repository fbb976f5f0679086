"""The inside of a worker process: `python -m croze.fs.worker FD` serves calls until FD closes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import socket
import struct
import sys
import traceback

from croze.errors import CrozeError

_LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1


def main() -> None:
    # The terminal's Ctrl-C is for the daemon, which decides what happens to us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.umask(0)
    # A daemon that was killed may end the connection at any byte: there is nobody to tell.
    with contextlib.suppress(ConnectionError), socket.socket(fileno=int(sys.argv[1])) as channel:
        _preload()
        stream = channel.makefile("rb")
        while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
            (size,) = _LENGTH.unpack(head)
            answer = _serve(stream.read(size))
            channel.sendall(_LENGTH.pack(len(answer)))
            channel.sendall(answer)


def _preload() -> None:
    import croze.fs.archive
    import croze.fs.checksum
    import croze.fs.copy
    import croze.fs.sync
    import croze.fs.tar
    import croze.fs.usage  # noqa: F401


def _serve(request: bytes) -> bytes:
    try:
        function, args, kwargs = pickle.loads(request)
        answer = (True, function(*args, **kwargs))
        return pickle.dumps(answer, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return _pickle_error(error)


def _pickle_error(error: Exception) -> bytes:
    error.add_note("In a worker process:\n" + traceback.format_exc())
    try:
        data = pickle.dumps((False, error), protocol=pickle.HIGHEST_PROTOCOL)
        pickle.loads(data)  # some errors can be written but not read back
    except Exception:
        data = pickle.dumps((False, CrozeError(f"{type(error).__name__}: {error}")))
    return data


if __name__ == "__main__":
    main()
