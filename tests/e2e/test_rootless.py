"""`crozed` as an ordinary user: in a user namespace of its own, or in RootlessKit's."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.docker_engine import BUSYBOX, tar_of
from tests.e2e.sandbox import Sandbox, execute
from tests.e2e.users import ordinary_user, user_sandbox
from tests.support.waiting import PATIENCE_S, eventually

DOCKERFILE = """\
FROM busybox
RUN id -u && mkdir -p /d/old && touch /d/a && chown 5:6 /d/a && chmod 4755 /d/a && mkfifo /p
RUN rm -r /d && mkdir /d && touch /d/b
COPY --chown=7:8 Dockerfile /d/
RUN test "$(ls /d)" = "$(printf 'Dockerfile\\nb')" && test "$(stat -c %u:%g /d/Dockerfile)" = 7:8
RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t touch /c/x /t/x
CMD ["echo", "hello from a user"]
"""


@pytest.fixture(scope="module")
def user() -> Iterator[pwd.struct_passwd]:
    with ordinary_user() as made:
        yield made


@pytest.fixture
def own(user: pwd.struct_passwd, shared: Path) -> Iterator[Sandbox]:
    """The user's sandbox; nothing runs in it yet."""
    with user_sandbox(user, shared) as made:
        yield made


@pytest.fixture(scope="module")
def readable_busybox(shared: Path) -> Path:
    """Not below pytest's own folder, which is closed to other users."""
    layout = shared / "busybox"
    images.busybox_layout(layout)
    execute(["chmod", "-R", "a+rX", layout], dict(os.environ))
    return layout


def build(own: Sandbox, busybox: Path, *words: str | Path, dockerfile: str = DOCKERFILE) -> str:
    context = own.context("small", {"Dockerfile": dockerfile})
    named = f"busybox=oci-layout://{busybox}"
    command = ["build", "--progress=plain", "--build-context", named, *words, context]
    return own.croze(*command).output


def digest_with(own: Sandbox, busybox: Path, *words: str) -> str:
    """The image's digest, which says everything of its content."""
    metadata = own.path / "metadata.json"
    output = f"type=oci,rewrite-timestamp=true,dest={own.path}/image.tar"
    words = ("-o", output, "--build-arg", "SOURCE_DATE_EPOCH=1700000000", *words)
    build(own, busybox, "--metadata-file", metadata, *words)
    digest: str = json.loads(metadata.read_text())["containerimage.digest"]
    return digest


@pytest.mark.parametrize("flags", [(), ("--oci-worker-snapshotter=native",)])
def test_the_image_is_what_root_would_make(
    own: Sandbox, sandbox: Sandbox, readable_busybox: Path, flags: tuple[str, ...]
) -> None:
    own.start(*flags)
    assert digest_with(own, readable_busybox) == digest_with(sandbox, readable_busybox)
    assert own.stop() == 0


def test_a_users_daemon_on_demand(own: Sandbox, readable_busybox: Path) -> None:
    build(own, readable_busybox, "-t", "hello")
    assert own.croze("run", "hello").stdout == "hello from a user\n"
    pid = int((own.root / "crozed.pid").read_text())
    assert Path(f"/proc/{pid}/uid_map").read_text().split()[2] == "1"
    os.kill(pid, signal.SIGTERM)
    assert own.wait_no_leftovers() == []


LISTEN = """\
import os, select, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
while select.select([listener], [], []):
    if not (pid := os.fork()):
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="docker", LISTEN_PID=str(os.getpid()))
        os.execv(sys.argv[2], sys.argv[2:])
    if os.waitpid(pid, 0)[1]:
        sys.exit(1)
"""
"""What systemd does for a socket unit."""


def test_docker_finds_a_users_daemon_on_demand(own: Sandbox) -> None:
    """Whoever connects starts it; it goes when nobody needs it, and comes again."""
    path = own.runtime / "docker.sock"
    daemon = [*own.python, "-m", "croze.daemon", "--root", own.root, "--addr", own.address]
    flags = ["--docker-api=fd://docker", "--idle-timeout=1"]
    words = [*own.prefix, *own.python, "-c", LISTEN, path, *daemon, *flags]
    env = {**own.env, "DOCKER_HOST": f"unix://{path}", "DOCKER_BUILDKIT": "0"}
    with open(own.log, "wb") as log:
        listening = subprocess.Popen(list(map(str, words)), env=own.env, stdout=log, stderr=log)
    try:
        eventually(path.exists, own.log_text, process=listening)
        docker = [*own.prefix, "docker"]
        tar = tar_of({"Dockerfile": BUSYBOX, "layer.tar": images.busybox_layer()})
        execute([*docker, "build", "-t", "busybox", "-"], env, stdin=tar)
        eventually(lambda: "stopped" in own.log_text(), own.log_text)
        execute([*docker, "run", "-d", "--name", "one", "busybox", "sleep", "1000"], env)
        assert execute([*docker, "exec", "one", "id", "-u"], env).stdout == "0\n"
        execute([*docker, "cp", "-", "one:/"], env, stdin=tar_of({"f": "from the user\n"}))
        assert execute([*docker, "exec", "one", "cat", "/f"], env).stdout == "from the user\n"
        assert execute([*docker, "cp", "one:/f", "-"], env).stdout.startswith("f\0")
        assert "sleep 1000" in execute([*docker, "top", "one"], env).stdout
        execute([*docker, "rm", "-f", "one"], env)
        eventually(lambda: own.log_text().count("stopped") >= 2, own.log_text)
    finally:
        listening.terminate()
        listening.wait()


BASE = """\
FROM busybox
RUN mkdir -p /opaque/old /gone && touch /opaque/file /a && ln /a /hard && chown -R 5:6 /opaque
RUN rm -r /opaque /gone && mkdir /opaque && touch /opaque/new
COPY --link Dockerfile /opaque/linked
"""
USE = """\
FROM base
RUN test "$(ls /opaque)" = "$(printf 'linked\\nnew')" && test ! -e /gone && test /a -ef /hard
COPY --link Dockerfile /opaque/more
RUN test "$(ls /opaque)" = "$(printf 'linked\\nmore\\nnew')" && rm -r /opaque && mkdir /opaque
RUN test -z "$(ls /opaque)"
"""


def test_layers_made_by_root_are_unpacked(
    own: Sandbox, sandbox: Sandbox, shared: Path, readable_busybox: Path
) -> None:
    """With names that are deleted and directories that are replaced, which a user's overlays have
    marks of their own for."""
    build(
        sandbox, readable_busybox, "-o", f"type=oci,dest={sandbox.path}/base.tar", dockerfile=BASE
    )
    execute(["mkdir", shared / "base"], sandbox.env)
    execute(["tar", "xf", sandbox.path / "base.tar", "-C", shared / "base"], sandbox.env)
    execute(["chmod", "-R", "a+rX", shared / "base"], sandbox.env)
    own.start()
    named = f"base=oci-layout://{shared}/base"
    build(own, readable_busybox, "--build-context", named, dockerfile=USE)


def test_ids_that_the_user_has_not(
    own: Sandbox, sandbox: Sandbox, shared: Path, readable_busybox: Path
) -> None:
    far = "FROM busybox\nCOPY --chown=70000:70000 Dockerfile /far\n"
    build(sandbox, readable_busybox, "-o", f"type=oci,dest={sandbox.path}/far.tar", dockerfile=far)
    execute(["mkdir", shared / "far"], sandbox.env)
    execute(["tar", "xf", sandbox.path / "far.tar", "-C", shared / "far"], sandbox.env)
    execute(["chmod", "-R", "a+rX", shared / "far"], sandbox.env)
    own.start()
    context = own.context("far", {"Dockerfile": "FROM far\nRUN true\n"})
    named = f"far=oci-layout://{shared}/far"
    failed = own.croze("build", "--build-context", named, context, check=False)
    assert failed.code == 1
    assert "for UID 70000, GID 70000: invalid argument (Hint: try increasing" in failed.stderr


SUITES = (
    "store/snapshots/test_snapshotters.py",
    "store/test_layers.py",
    "store/test_refs.py",
    "runtime/test_conformance.py",
    "sources/test_conformance.py",
    "export/test_conformance.py",
)
IN_A_NAMESPACE = """\
import os, sys
from croze.daemon.host.rootless import enter_user_namespace
enter_user_namespace()
os.execv(sys.executable, [sys.executable, "-m", "pytest", *sys.argv[1:]])
"""


def test_the_suites_of_contracts(own: Sandbox, shared: Path) -> None:
    """As the root of a user's namespace they run as they do for root."""
    words = [*own.prefix, *own.python, "-c", IN_A_NAMESPACE, "-q", "-p", "no:cacheprovider"]
    words += [f"--basetemp={own.path}/tmp", *(f"tests/{name}" for name in SUITES)]
    done = execute(words, own.env, cwd=shared / "repo", check=False)
    assert done.code == 0, done.stdout
    assert "skipped" not in done.stdout


def test_layers_have_the_ids_of_containers(own: Sandbox, readable_busybox: Path) -> None:
    own.start()
    build(own, readable_busybox, "-o", f"type=tar,dest={own.path}/root.tar")
    with tarfile.open(own.path / "root.tar") as tar:
        assert tar.getmember("d/Dockerfile").uid == 7
        assert "d/a" not in tar.getnames()


def test_containers_do_not_outlive_a_killed_daemon(own: Sandbox, readable_busybox: Path) -> None:
    own.start()
    context = own.context("slow", {"Dockerfile": "FROM busybox\nRUN exec sleep 1000\n"})
    words = [*own.prefix, *map(str, own.python), "-m", "croze.cli.thin", "build"]
    words += ["--build-context", f"busybox=oci-layout://{readable_busybox}", str(context)]
    with subprocess.Popen(words, env=own.env, stderr=subprocess.PIPE) as client:
        pid = eventually(lambda: first_process(own.root / "executor/pid"))
        assert own.stop(signal.SIGKILL) == -signal.SIGKILL
        client.communicate(timeout=PATIENCE_S)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    own.start()
    build(own, readable_busybox)


def first_process(pids: Path) -> int:
    """The pid of a container's first process; 0 before there is one."""
    texts = [file.read_text() for file in pids.glob("*")]
    return int(next(filter(None, texts), "0"))


def test_without_a_process_sandbox(own: Sandbox, readable_busybox: Path) -> None:
    own.start("--oci-worker-no-process-sandbox")
    build(own, readable_busybox, dockerfile="FROM busybox\nRUN test $$ -ne 1 && test -e /proc/1\n")


def test_all_that_a_user_may_give(own: Sandbox, readable_busybox: Path) -> None:
    own.start("--allow-insecure-entitlement=security.insecure")
    mounting = "mkdir /m && mount -t tmpfs m /m && test -c /dev/net/tun"
    plain = f"FROM busybox\nRUN ! ({mounting})\nRUN --security=insecure rm -rf /m && {mounting}\n"
    build(own, readable_busybox, "--allow=security.insecure", dockerfile=plain)


def test_under_rootlesskit(own: Sandbox, readable_busybox: Path) -> None:
    own.prefix = (*own.prefix, "rootlesskit")
    own.start()
    own.prefix = own.prefix[:-1]
    build(own, readable_busybox)
    # RootlessKit's two processes each pass the signal on: that is still one wish.
    pid = int((own.root / "crozed.pid").read_text())
    assert own.stop() == 0
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_a_user_without_subordinate_ids(shared: Path) -> None:
    with ordinary_user("croze-bare") as bare, user_sandbox(bare, shared) as own:
        execute(["usermod", "--del-subuids", "1-4000000000", bare.pw_name], dict(os.environ))
        done = execute([*own.prefix, *own.python, "-m", "croze.daemon"], own.env, check=False)
    assert done.code == 1
    assert f"/etc/subuid gives {bare.pw_name} none: add a line such as" in done.stderr


@pytest.fixture
def tun() -> Iterator[None]:
    """A device that every user may open, as udev makes it; not all machines have udev."""
    device = Path("/dev/net/tun")
    mode = device.stat().st_mode
    device.chmod(0o666)
    yield
    device.chmod(mode)


@pytest.fixture
def answering() -> Iterator[int]:
    """A server on the host's loopback: its port. It answers all who come with `here`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(b"here\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_network_of_the_users(
    own: Sandbox, readable_busybox: Path, tun: None, answering: int
) -> None:
    own.start("--oci-worker-net=slirp4netns", "--allow-insecure-entitlement=network.host")
    ask = f"nc -w 1 127.0.0.1 {answering} < /dev/null"
    build(
        own,
        readable_busybox,
        "--allow=network.host",
        dockerfile=f"""\
FROM busybox
RUN grep -q tap0 /proc/net/dev && test "$({ask})" != here
RUN --network=none ! grep -q tap0 /proc/net/dev
RUN --network=host ! grep -q tap0 /proc/net/dev && test "$({ask})" = here
""",
    )
