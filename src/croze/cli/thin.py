"""The `croze` command's thin start.

Importing what a build needs (grpc, protobuf, asyncio) costs more than a cached build. So this
module imports next to nothing: it asks the user's warm process (`croze.cli.warm`) to run the
command, handing over arguments, environment, working directory and standard streams, and then only
relays signals and the exit code. Without a warm process it runs the command itself.

`socket`, `signal`, `json` and `struct` are left out on purpose: each would double the time this
file takes.

Protocol, over a Unix stream socket: the request is one frame (4 bytes big-endian length, then
NUL-separated fields) with the three standard streams attached as SCM_RIGHTS to its first byte. The
answer is `A` when the command was taken on, then `X<code>;` when it is over. While it runs, each
byte from here is the number of a signal to pass on.
"""

import os
import sys

from croze.drivers.places import warm_socket

PROTOCOL = b"croze-warm-1"
SCM_RIGHTS = 1


def build_stamp() -> bytes:
    """Names this very installation: a warm process of another one must not serve us."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return f"{sys.executable}:{here}".encode()


def encode_request(argv: "list[str]") -> bytes:
    """The request frame: protocol, stamp, directory, umask, then arguments and environment."""
    umask = os.umask(0o077)
    os.umask(umask)
    head = [PROTOCOL, build_stamp(), os.fsencode(os.getcwd()), str(umask).encode()]
    head.append(str(len(argv)).encode())
    fields = head + [os.fsencode(a) for a in argv]
    fields += [key + b"=" + value for key, value in os.environb.items()]
    body = b"\0".join(fields)
    return len(body).to_bytes(4, "big") + body


def run_warm(argv: "list[str]") -> "int | None":
    """The exit code of the command run by the warm process, or None if there is none to do it."""
    import _socket

    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(warm_socket())
        streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
        frame = encode_request(argv)
        sent = connection.sendmsg([frame], [(_socket.SOL_SOCKET, SCM_RIGHTS, streams)])
        while sent < len(frame):
            sent += connection.send(frame[sent:])
        if connection.recv(1) != b"A":
            return None
    except OSError:
        connection.close()
        return None
    return relay(connection)


def relay(connection: "object") -> int:
    """Pass signals on until the exit code comes."""
    import _signal  # type: ignore[import-not-found]  # no stubs

    passed_on = 0

    def forward(number: int, _frame: object) -> None:
        nonlocal passed_on
        passed_on = number
        try:
            connection.send(bytes([number]))  # type: ignore[attr-defined]
        except OSError:
            os._exit(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGWINCH"):
        _signal.signal(getattr(_signal, name), forward)
    answer = b""
    while not answer.endswith(b";"):
        data: bytes = connection.recv(64)  # type: ignore[attr-defined]
        if not data and passed_on:
            return 128 + passed_on  # what it died of
        if not data:
            print("croze: the process that ran this command ended early", file=sys.stderr)
            return 1
        answer += data
    return int(answer[1:-1])


def main() -> int:
    """Entry point of the `croze` command."""
    argv = sys.argv[1:]
    if os.environ.get("CROZE_NO_WARM") != "1":
        code = run_warm(argv)
        if code is not None:
            sys.stderr.flush()
            os._exit(code)  # nothing is open that would have to be taken down
    from croze.cli.main import run

    code = run(argv)
    if os.environ.get("CROZE_NO_WARM") != "1" and argv[:1] in (["build"], ["b"]):
        start_warm()
    return code


def start_warm() -> None:
    """Leave a warm process behind for the next time. One that runs already stays."""
    import subprocess

    subprocess.Popen(
        [sys.executable, "-m", "croze.cli.warm"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    ).returncode = 0


if __name__ == "__main__":
    sys.exit(main())
