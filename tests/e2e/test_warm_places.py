"""The warm process and callers that are not where it is: under other limits, in a sandbox, in
another place, of another installation; and those that lie about it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.e2e.app import base
from tests.e2e.sandbox import CROZE, REPO, Sandbox, execute
from tests.e2e.warm_processes import WARM, Start, answers, warm_sockets
from tests.e2e.warm_processes import start as start
from tests.e2e.warm_processes import warm as warm
from tests.support.processes import catches, children, family, state
from tests.support.waiting import PATIENCE_S, eventually

PIDS = Path("/sys/fs/cgroup/pids")


def stdin_of(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/0")
    except OSError:
        return ""


def has_loaded_the_client(pid: int) -> bool:
    try:
        return "/msgspec/" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


@contextlib.contextmanager
def reading(
    sandbox: Sandbox, start: Start, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A `croze build -` that waits for its standard input."""
    command = [*prefix, *start, "build", "-"]
    with subprocess.Popen(
        command,
        env={**sandbox.env, **WARM, **(env or {})},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        process_group=0,
    ) as process:
        yield process
        for pid in list(family(process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def runner(process: subprocess.Popen[bytes], warm: subprocess.Popen[bytes]) -> int:
    """The child of the warm process that runs it; 0 when it runs by itself."""
    ours = f"pipe:[{os.fstat(process.stdin.fileno()).st_ino}]" if process.stdin else ""

    def runners() -> list[int]:
        found = [child for child in children(warm.pid) if stdin_of(child) == ours]
        return found or [0 for pid in family(process.pid) if has_loaded_the_client(pid)]

    return eventually(runners, process=process)[0]


SPAWN = """\
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
os.waitpid(pid, 0)
"""


def test_the_same_place_is_served(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    spawn = [sys.executable, "-c", SPAWN]  # as make does it
    for prefix in (
        [],
        ["sh", "-c", 'umask 077; cd /tmp; exec "$@"', "sh"],
        ["setsid", "-w"],
        spawn,
    ):
        with reading(sandbox, start, prefix) as process:
            assert runner(process, warm)


ELSEWHERE = {
    "mounts": ["unshare", "--mount"],
    "network": ["unshare", "--net"],
    "host name": ["unshare", "--uts"],
    "ipc": ["unshare", "--ipc"],
    "cgroup namespace": ["unshare", "--cgroup"],
    "processes": ["unshare", "--pid", "--fork", "--mount-proc"],
    "user namespace": ["unshare", "--user", "--map-root-user"],
    "open files": ["prlimit", "--nofile=512"],
    "niceness": ["nice", "-n", "3"],
    "scheduling": ["chrt", "--batch", "0"],
    "out of memory": ["choom", "-n", "300", "--"],
    "processors": ["taskset", "1"],
    "privileges": ["setpriv", "--no-new-privs"],
    "capabilities": ["setpriv", "--bounding-set=-sys_boot"],
    "groups": ["setpriv", "--groups=4321"],
    "real user": ["setpriv", "--ruid=4321"],
    "personality": ["setarch", "-R"],
    "hangup": ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"],
    "interpreter": ["env", "PYTHONHASHSEED=1"],
    "libraries": ["env", "LD_LIBRARY_PATH=/nowhere"],
}


def test_another_place_is_not(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    for what, prefix in ELSEWHERE.items():
        with reading(sandbox, start, prefix) as process:
            assert runner(process, warm) == 0, what


def test_another_cgroup_is_not(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    if not (PIDS / "cgroup.procs").exists():
        pytest.skip("needs the pids controller of cgroup v1")
    folder = PIDS / f"croze-test-{os.getpid()}"
    folder.mkdir()
    try:
        script = f'echo $$ > {folder}/cgroup.procs; exec "$@"'
        with reading(sandbox, start, ["sh", "-c", script, "sh"]) as process:
            assert runner(process, warm) == 0
    finally:
        eventually(lambda: not (folder / "cgroup.procs").read_text())
        folder.rmdir()


def test_it_builds_the_directory_that_its_caller_sees(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "outer"}
    context = sandbox.context("c", files)
    script = f'mount -t tmpfs none {context}; cp {context}2/* {context}; exec "$@"'  # in its own
    sandbox.context("c2", {**files, "a": "inner"})
    out = sandbox.path / "out"
    words: list[str | Path] = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        *start,
        "build",
        "-o",
        out,
        context,
    ]
    execute(words, {**sandbox.env, **WARM})
    assert (out / "a").read_text() == "inner"


def test_the_directory_itself_and_not_its_name(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "first"}
    context = sandbox.context("c", files)
    script = f'mv {context} {context}-gone; cp -r {context}2 {context}; exec "$@"'
    sandbox.context("c2", {**files, "a": "second"})
    out = sandbox.path / "out"
    words = ["sh", "-c", script, "sh", *start, "build", "-o", str(out), "."]
    execute(words, {**sandbox.env, **WARM}, cwd=context)
    assert (out / "a").read_text() == "first"


def test_a_pipe_of_the_shell(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start, busybox: Path
) -> None:
    """`<(…)` is a path that only the caller has."""
    run = "RUN --mount=type=secret,id=s test $(cat /run/secrets/s) = hush"
    context = sandbox.context("c", {"Dockerfile": f"FROM base\n{run}\n"})
    script = '"$@" --secret id=s,src=<(echo hush)'
    words: list[str | Path] = [
        "bash",
        "-c",
        script,
        "bash",
        *start,
        "build",
        *base(busybox),
        context,
    ]
    execute(words, {**sandbox.env, **WARM})


LIAR = """\
import array, os, socket, sys
from croze.cli.surroundings import installation
from croze.cli.thin import encode_request
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
fds = array.array("i", [0, 1, 2, os.open("/", os.O_RDONLY)])
request = encode_request(["--help"], installation())
try:
    sock.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    print("answer", sock.recv(64))
except ConnectionError:
    print("answer b''")
"""


@pytest.mark.parametrize(
    ("prefix", "answer"),
    [
        ([], "answer b'A"),
        (["unshare", "--mount"], "answer b''"),
        (["setpriv", "--no-new-privs"], "answer b''"),
        (["setpriv", "--reuid=4321", "--clear-groups"], "answer b''"),
    ],
)
def test_a_caller_that_lies(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], prefix: list[str], answer: str
) -> None:
    """A process in a sandbox knows the protocol, too."""
    (path,) = warm_sockets(sandbox)
    for folder in (path.parent, path):  # let it in, so that more than the modes is tried
        folder.chmod(0o777)
    for folder in (sandbox.path, *sandbox.path.parents[:-1]):
        folder.chmod(folder.stat().st_mode | 0o011)
    words = [*prefix, sys.executable, "-c", LIAR, str(path)]
    assert answer in execute(words, sandbox.env).stdout


def stop_warm(sandbox: Sandbox) -> None:
    """Warm processes leave with their sockets."""
    for path in warm_sockets(sandbox):
        os.rename(path, f"{path}-old")
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(f"{path}-old")
        os.unlink(f"{path}-old")


def test_each_installation_has_its_own(sandbox: Sandbox) -> None:
    other = sandbox.path / "other"
    shutil.copytree(REPO / "src/croze", other / "croze")
    context = sandbox.context("c", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    env = {**sandbox.env, **WARM}
    execute([CROZE, "build", context], env)
    eventually(lambda: len(warm_sockets(sandbox)) == 1)
    command = [sys.executable, "-m", "croze.cli.thin", "--builder", sandbox.address]
    execute([*command, "build", context], {**env, "PYTHONPATH": str(other)})
    eventually(lambda: len(warm_sockets(sandbox)) == 2)
    eventually(lambda: answers(sandbox))
    stop_warm(sandbox)


def test_no_warm_process_is_left_when_not_wanted(sandbox: Sandbox) -> None:
    context = sandbox.context("c", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    execute([CROZE, "build", context], {**sandbox.env, "CROZE_NO_WARM": "1"})
    execute([CROZE, "--builder", sandbox.address, "du"], {**sandbox.env, **WARM})
    assert not [pid for pid in sandbox.leftovers() if "croze.cli.warm" in pid]


def stopped(sandbox: Sandbox, process: subprocess.Popen[bytes]) -> None:
    eventually(lambda: catches(process.pid, signal.SIGTSTP), process=process)
    os.kill(process.pid, signal.SIGTSTP)
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert os.WSTOPSIG(status) == signal.SIGTSTP


def test_stopped_by_the_terminal(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start
) -> None:
    """Control-Z stops both, and `fg` lets both go on."""
    with reading(sandbox, start) as process:
        child = runner(process, warm)
        for _ in range(2):
            stopped(sandbox, process)
            eventually(lambda: state(child) == "T")
            os.kill(process.pid, signal.SIGCONT)
            eventually(lambda: state(child) not in ("T", ""))
        assert process.stdin is not None
        process.stdin.close()
        eventually(lambda: child not in children(warm.pid), process=warm)
        assert process.wait(PATIENCE_S) == 1


@pytest.mark.parametrize("loss", ["", "before", "after"])
def test_killed_while_stopped(
    sandbox: Sandbox, warm: subprocess.Popen[bytes], start: Start, loss: str
) -> None:
    """What runs the command does not stay behind, stopped for ever; not if nobody is left who knows
    of it, either."""
    with reading(sandbox, start) as process:
        child = runner(process, warm)
        if loss == "before":
            warm.kill()
            warm.wait(PATIENCE_S)
        stopped(sandbox, process)
        if loss == "after":
            warm.kill()
            warm.wait(PATIENCE_S)
        os.kill(process.pid, signal.SIGKILL)
        eventually(lambda: state(child) in ("", "Z"))
