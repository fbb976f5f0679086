"""The `croze` command's thin start.

Importing what a build needs (grpc, protobuf, asyncio) costs more than a cached build. So this
module imports next to nothing: it asks the user's warm process (`croze.cli.warm`) to run the
command, handing over arguments, environment, working directory and standard streams, and then only
relays signals and the exit code. Without a warm process it runs the command itself; so it does
where the command would not be the same in the warm process.

A warm process serves one installation in one place (`croze.cli.surroundings`), and its socket is
named for both. Its directory must be this user's alone, and so must be who listens: the whole
environment is sent there.

`socket`, `signal`, `json` and `struct` are left out on purpose: each would double the time this
file takes.

Protocol, over a Unix stream socket: the request is one frame (4 bytes big-endian length, then
NUL-separated fields) with the three standard streams and the working directory attached as
SCM_RIGHTS to its first byte. The answers are a letter, a number, and `;`. `A<pid>` when the command
was taken on by that process; `T0` when it has heard of SIGTSTP, and is to be stopped; `X<code>`
when it is over. While it runs, each byte from here is the number of a signal to pass on.
"""

import os
import sys

from croze.version import PLUGIN_NAMES

PROTOCOL = b"croze-warm-3"
SCM_RIGHTS = 1
ANSWER_S = 2.0
"""How long a warm process may take to begin: one that was stopped would take for ever."""
INTERRUPTED = 130
BUILDCTL = ("buildctl", "buildctl-daemonless.sh", "buildctl-daemonless")
PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGWINCH", "SIGTSTP")


def encode_request(argv: "list[str]", installed: bytes) -> bytes:
    """The request frame: protocol, installation, umask, then arguments and environment."""
    umask = os.umask(0o077)
    os.umask(umask)
    head = [PROTOCOL, installed, str(umask).encode(), str(len(argv)).encode()]
    fields = head + [os.fsencode(a) for a in argv]
    fields += [key + b"=" + value for key, value in os.environb.items()]
    body = b"\0".join(fields)
    return len(body).to_bytes(4, "big") + body


def run_warm(argv: "list[str]") -> "int | None":
    """The exit code of the command run by the warm process, or None if there is none to do it."""
    import _socket

    from croze.cli.surroundings import (
        installation,
        means_the_same_elsewhere,
        short_name,
        surroundings,
    )
    from croze.drivers.places import runtime_dir, warm_socket
    from croze.files.own import is_own_dir
    from croze.files.peers import is_own, peer_of

    if not means_the_same_elsewhere(argv) or in_background():
        return None
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        installed = installation()
        path = warm_socket(short_name(installed + surroundings()))
        if not is_own_dir(runtime_dir()):
            return None
        connection.settimeout(ANSWER_S)
        connection.connect(path)
        warm = peer_of(connection).pid
        if not is_own(connection) or not is_beside_us(warm):
            return None
        here = os.open(".", os.O_PATH | os.O_DIRECTORY)
        streams = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2, here))
        frame = encode_request(argv, installed)
        sent = connection.sendmsg([frame], [(_socket.SOL_SOCKET, SCM_RIGHTS, streams)])
        os.close(here)
        while sent < len(frame):
            sent += connection.send(frame[sent:])
        letter, pid = first_answer(connection, warm)
        connection.settimeout(None)
    except OSError:
        return None
    return relay(connection, pid) if letter == "A" else None


def first_answer(connection: "object", warm: int) -> "tuple[str, int]":
    """A warm process that does not answer in time may have been stopped: it goes on, since it has
    our streams. If that does not help either, what has been sent by then counts, and nothing can be
    sent after it: it can't take the command on any more."""
    for last in (False, True):
        try:
            return read_answer(connection)
        except TimeoutError:
            if last:
                connection.shutdown(0)  # type: ignore[attr-defined]  # SHUT_RD
            else:
                import _signal  # type: ignore[import-not-found]  # no stubs

                os.kill(warm, _signal.SIGCONT)
    return read_answer(connection)


def in_background() -> bool:
    """Whether reading from the terminal would stop this process: it would not stop another."""
    try:
        return os.isatty(0) and os.tcgetpgrp(0) != os.getpgrp()
    except OSError:
        return False  # not this session's terminal


def is_beside_us(pid: int) -> bool:
    """Whether that process may be looked into from here (a sandbox forbids it), and has our mount
    namespace. Raises `OSError` if it may not."""
    return os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")


def read_answer(connection: "object") -> "tuple[str, int]":
    """The next answer's letter and number; no letter at the end."""
    answer = b""
    while not answer.endswith(b";"):
        data: bytes = connection.recv(1)  # type: ignore[attr-defined]
        if not data:
            return "", 0
        answer += data
    return chr(answer[0]), int(answer[1:-1])


def relay(connection: "object", pid: int) -> int:
    """Pass signals on until the exit code comes."""
    import _signal

    passed_on = 0

    def forward(number: int, _frame: object) -> None:
        nonlocal passed_on
        if number not in (_signal.SIGWINCH, _signal.SIGTSTP):
            passed_on = number
        try:
            connection.send(bytes([number]))  # type: ignore[attr-defined]
        except OSError:
            os._exit(128 + number)

    def stop() -> None:
        """Stop as the shell expects it, until it lets us go on; and before that the process, which
        the kernel lets go on if we are killed (`croze.cli.warm.stopping`)."""
        try:
            runner = os.pidfd_open(pid)
        except OSError:
            return  # it has ended
        # Whatever is passed on from now on would let it go on.
        _signal.signal(_signal.SIGTSTP, _signal.SIG_IGN)
        signal_to(runner, _signal.SIGSTOP)
        _signal.signal(_signal.SIGTSTP, _signal.SIG_DFL)
        os.kill(os.getpid(), _signal.SIGTSTP)
        _signal.signal(_signal.SIGTSTP, forward)
        signal_to(runner, _signal.SIGCONT)
        os.close(runner)

    for number in (getattr(_signal, name) for name in PASSED_ON):
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, forward)
    while True:
        letter, code = read_answer(connection)
        if letter == "T":
            stop()
        elif letter:
            return code
        elif passed_on:
            return 128 + passed_on  # what it died of
        else:
            print("croze: the process that ran this command ended early", file=sys.stderr)
            return 1


def signal_to(pidfd: int, number: int) -> None:
    """Send a signal, unless that process has ended."""
    import _signal

    try:
        _signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        pass


def die_of_interrupts() -> None:
    """Have an interrupt end the process while modules are imported, with no traceback shown: what
    is to be left in order isn't begun yet; `croze.cli.guard` says when. An ignored one stays so."""
    import _signal

    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)


def bring_site_in() -> None:
    """Run the part of `site` that scripts/quick_start.py has left out, for what is more than to ask
    the warm process."""
    if sys.flags.no_site:
        import site

        site.main()


def prepare() -> None:
    """Prepare for the command to be run in this very process."""
    bring_site_in()
    from croze.files.standard import print_bytes_as_they_are, standard_error

    print_bytes_as_they_are()
    sys.stderr = standard_error()


def main() -> int:
    """Entry point of the `croze` command."""
    die_of_interrupts()
    argv = sys.argv[1:]
    name = os.path.basename(sys.argv[0])
    if None in (sys.stdin, sys.stdout, sys.stderr):
        from croze.files.standard import open_standard_streams

        open_standard_streams()
    if name in PLUGIN_NAMES:
        os.environ["CROZE_CALLED_AS"] = name
    if name in BUILDCTL:
        return run_buildctl(name, argv)
    may_be_warm = os.environ.get("CROZE_NO_WARM", "0") in ("", "0")
    if may_be_warm:
        code = run_warm(argv)
        if code is not None:
            sys.stderr.flush()
            os._exit(code)  # nothing is open that would have to be taken down
    prepare()
    import gc

    gc.disable()  # what is loaded stays; `croze.cli.guard` turns it on
    from croze.cli.guard import finished
    from croze.cli.main import command_of, run

    environ = dict(os.environ)
    code = finished(run(argv))
    die_of_interrupts()
    # One that is interrupted ignores further interrupts, and so would the warm process.
    if may_be_warm and code != INTERRUPTED and command_of(argv) in ("build", "bake"):
        start_warm(environ)
    return code


def run_buildctl(name: str, argv: "list[str]") -> int:
    """Run what `buildctl` would, or BuildKit's script that brings a daemon for one command; the
    exit code."""
    prepare()
    from croze.cli.guard import finished

    if name == "buildctl":
        from croze.cli.buildctl.main import main as buildctl

        return finished(buildctl(argv))
    from croze.cli.buildctl.daemonless import main as daemonless

    return finished(daemonless(argv))


def start_warm(environ: "dict[str, str]") -> None:
    """Leave a warm process behind for the next time. One that runs already stays."""
    import subprocess

    from croze.files.interpreter import own_program

    subprocess.Popen(
        own_program("croze.cli.warm.process"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=environ,
        start_new_session=True,
    ).returncode = 0


if __name__ == "__main__":
    sys.exit(main())
