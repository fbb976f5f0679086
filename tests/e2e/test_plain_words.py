"""What a user can put right is said in plain words, not in gRPC's or Python's."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.sandbox import CROZE, Done, Sandbox, execute
from tests.e2e.users import ordinary_user, python_in, python_settings, user_sandbox
from tests.support.waiting import free_port

TREELESS = ("Traceback", "internal error", "FAILED_PRECONDITION", "Unavailable:", "errno", "addr:")


def said(done: Done) -> str:
    """The one message of a command that failed."""
    assert done.code == 1, done.output
    assert not any(word in done.output for word in TREELESS), done.output
    [line] = done.stderr.splitlines()
    return line.removeprefix("ERROR: ").removeprefix("failed to build: ")


def elsewhere(sandbox: Sandbox, address: str, *words: str) -> str:
    return said(sandbox.croze("--builder", address, *words, check=False))


@pytest.fixture
def client(tmp_path: Path) -> Sandbox:
    """A place for clients, without a daemon."""
    return Sandbox(tmp_path)


@pytest.mark.parametrize("words", [["du"], ["build", "-q", "."], ["images"]])
def test_no_daemon_there(client: Sandbox, words: list[str]) -> None:
    found = elsewhere(client, "unix:///proc/nope/x.sock", *words)
    assert found == "there is no daemon at unix:///proc/nope/x.sock: is crozed running there?"
    dead = client.path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    found = elsewhere(client, f"unix://{dead}", *words)
    assert found == (
        f"no daemon listens at unix://{dead}: connection refused: is crozed running there?"
    )
    port = free_port()
    found = elsewhere(client, f"tcp://127.0.0.1:{port}", *words)
    assert found == f"cannot connect to the daemon at tcp://127.0.0.1:{port}: connection refused"


def test_a_host_without_an_address(client: Sandbox) -> None:
    found = elsewhere(client, "tcp://nowhere.invalid:1", "du")
    assert found.startswith("cannot connect to the daemon at tcp://nowhere.invalid:1: ")
    assert "field:" not in found


def test_without_an_oci_runtime(client: Sandbox) -> None:
    """Its name and its package, from `crozed` and from whoever wanted one started."""
    hidden = ["unshare", "-m", "sh", "-c"]
    covers = "; ".join(
        f"mount --bind /dev/null {found}"
        for name in ("crun", "runc")
        if (found := shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin"))
    )
    shell = f'{covers}; exec "$@"'
    words = [str(CROZE), "build", "-q", "."]
    done = execute([*hidden, shell, "-", *words], client.env, check=False)
    assert said(done) == (
        "the daemon did not start: failed to find crun or runc binary: containers are started "
        "with crun or runc (Debian: apt-get install crun)"
    )


def test_a_socket_of_somebody_else(sandbox: Sandbox, shared: Path) -> None:
    sandbox.path.chmod(0o755)
    for folder in (sandbox.path, *sandbox.path.parents):
        folder.chmod(folder.stat().st_mode | 0o011)
    with ordinary_user("croze-words") as user, user_sandbox(user, shared) as theirs:
        found = elsewhere(theirs, sandbox.address, "du")
    assert found == (
        f"the daemon at {sandbox.address} is not for this user: permission denied "
        "(crozed --group names a group that may use it)"
    )


def nobody(shared: Path, *words: str, stdin: bytes | None = None, **env: str) -> Done:
    """Run as a uid that /etc/passwd doesn't know."""
    as_nobody = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups"]
    program = [*as_nobody, str(python_in(shared)), "-m"]
    settings = {
        "PATH": os.environ["PATH"],
        **python_settings(shared),
        "CROZE_NO_WARM": "1",
        **env,
    }
    return execute([*program, *words], settings, cwd=Path("/"), stdin=stdin, check=False)


def test_a_uid_without_a_passwd_entry(shared: Path) -> None:
    found = said(nobody(shared, "croze", "build", "-q", "/"))
    assert found == (
        "uid 4242 has no line in /etc/passwd, which a daemon of its own needs: name another "
        "daemon with --builder or BUILDKIT_HOST"
    )
    done = nobody(shared, "croze.daemon")
    assert done.code == 1
    assert done.stderr == (
        "crozed: an ordinary user's daemon needs a line in /etc/passwd, and uid 4242 has none\n"
    )


def test_such_a_uid_can_use_another_daemon(shared: Path, sandbox: Sandbox) -> None:
    subprocess.run(["chmod", "-R", "a+rwX", sandbox.runtime], check=True)
    for folder in (sandbox.path, *sandbox.path.parents):
        folder.chmod(folder.stat().st_mode | 0o011)
    context = str(shared / "repo/examples/hello/src")
    build = ["build", "-q", "-f", "-", context]
    hidden = sandbox.path / "hidden"
    hidden.mkdir(mode=0o700)
    for home in ("", str(hidden)):
        env = {"BUILDKIT_HOST": sandbox.address} | ({"HOME": home} if home else {})
        done = nobody(shared, "croze", *build, stdin=b"FROM scratch\nCOPY main.c /\n", **env)
        assert done.code == 0, done.output
        assert done.stdout.startswith("sha256:")
        warning = f"WARNING: Error loading config file: open {home}/.docker/config.json: "
        assert done.stderr == (f"{warning}permission denied\n" if home else "")


def test_no_place_for_the_default_socket(shared: Path) -> None:
    with ordinary_user("croze-words") as user, user_sandbox(user, shared) as theirs:
        env = {**theirs.env, "XDG_RUNTIME_DIR": "", "HOME": str(theirs.path)}
        words = [*theirs.prefix, *map(str, theirs.python), "-m", "croze.daemon"]
        done = execute(words, env, check=False)
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == (
        "crozed: cannot listen at unix:///run/buildkit/buildkitd.sock: permission denied: set "
        "XDG_RUNTIME_DIR, or name another address with --addr"
    )


def test_without_a_tun_device(client: Sandbox) -> None:
    """Said at the start, not at each RUN."""
    shell = 'mount --bind /dev/null /dev/net/tun 2>/dev/null || true; exec "$@"'
    program = [sys.executable, "-m", "croze.daemon", "--addr", client.address]
    program += ["--root", str(client.root), "--oci-worker-net=slirp4netns"]
    if os.path.exists("/dev/net/tun"):
        shell = 'mount -t tmpfs none /dev/net; exec "$@"'
    done = execute(["unshare", "-m", "sh", "-c", shell, "-", *program], client.env, check=False)
    assert done.code == 1
    assert done.stderr.splitlines()[-1] == (
        "crozed: the network mode slirp4netns needs /dev/net/tun: no such file or directory: load "
        "the module tun (modprobe tun), or give this container the device (--device /dev/net/tun)"
    )


def test_in_a_plain_chroot(client: Sandbox) -> None:
    """This machine again, below a directory that is no mount."""
    root = client.path / "chroot"
    script = [f"mkdir {root}", f"cd {root}"]
    for path in Path("/").iterdir():
        if path.is_symlink():
            script.append(f"ln -s {path.readlink()} {path.name}")
        elif path.is_dir():
            script.append(f"mkdir {path.name} && mount --bind {path} {path.name}")
    command = f"{sys.executable} -m croze.daemon --root {client.root} --addr {client.address}"
    script.append(f"exec chroot {root} {command}")
    done = execute(["unshare", "-m", "bash", "-euc", "\n".join(script)], client.env, check=False)
    assert done.code == 1
    assert done.stderr == (
        "crozed: / is not a mount point, as in a plain chroot, and containers can't be started "
        "there: mount the root on itself before (mount --bind DIR DIR; chroot DIR)\n"
    )


HIDDEN = ("/run", "/var/lib")
"""Where root's default places are: covered, so that the machine's own stay as they are."""


def at_home(sandbox: Sandbox, script: str) -> Done:
    """Run as root with all defaults, in a mount and process namespace of its own."""
    unset = ("CROZE_ROOT", "CROZE_RUNTIME_DIR")
    env = {name: value for name, value in sandbox.env.items() if name not in unset}
    env["PATH"] = f"{CROZE.parent}:{env['PATH']}"
    covers = "; ".join(f"mount -t tmpfs -o mode=755 none {place}" for place in HIDDEN)
    namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"]
    return execute([*namespace, "-euc", f"{covers}; {script}"], env, check=False)


def test_croze_finds_a_daemon_at_the_default_address(client: Sandbox) -> None:
    """One that root started by hand, as buildkitd is started; before and after it there is
    root's own."""
    (client.path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    done = at_home(
        client,
        f"""
        (crozed --ready-fd 3 3>&1 >/dev/null 2>{client.log} & echo $! >/run/pid) | head -c 1
        croze build -q -t there {client.path}
        croze --builder unix:///run/buildkit/buildkitd.sock images | grep there
        test ! -e /run/croze/crozed.sock
        kill "$(cat /run/pid)"
        tail --pid="$(cat /run/pid)" -f /dev/null
        test -z "$(croze images -q)"
        test -S /run/croze/crozed.sock
        """,
    )
    assert done.code == 0, done.output + client.log_text()


def test_a_context_that_is_not_there(sandbox: Sandbox) -> None:
    """It is looked into for a policy first; nobody has asked for one."""
    host = f"127.0.0.1:{free_port()}"
    done = sandbox.croze("build", f"http://{host}/none.git", check=False)
    assert done.code == 1
    last = done.stderr.rstrip().splitlines()[-1]
    assert "policy" not in last
    assert f"http://{host}/none.git" in done.stderr
