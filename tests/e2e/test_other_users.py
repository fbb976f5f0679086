"""Another user of the machine who lies in wait where this user's sockets and locks will be."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from croze.fs.remove import remove_tree
from tests.e2e.sandbox import Done, Sandbox, execute
from tests.e2e.users import ordinary_user, user_sandbox

THIEF = """\
import os, select, socket, sys
folder, precious, *names = sys.argv[1:]
os.mkdir(folder)
os.chmod(folder, 0o777)
os.symlink(precious, f"{folder}/start.lock")
os.symlink(precious, f"{folder}/warm.lock")
listeners = []
for name in names:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"{folder}/{name}")
    os.chmod(f"{folder}/{name}", 0o777)
    sock.listen()
    listeners.append(sock)
print("ready", flush=True)
while True:
    for sock in select.select(listeners, [], [])[0]:
        connection, _ = sock.accept()
        connection.settimeout(5)
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        print("got", len(data), flush=True)
"""
NAME = """\
from croze.cli.surroundings import installation, short_name, surroundings
print(short_name(installation() + surroundings()))
"""


@pytest.fixture(scope="module")
def victim() -> Iterator[pwd.struct_passwd]:
    with ordinary_user("croze-victim") as made:
        yield made


@pytest.fixture
def own(victim: pwd.struct_passwd, shared: Path) -> Iterator[Sandbox]:
    with user_sandbox(victim, shared) as made:
        yield made


def run(own: Sandbox, *words: str | Path, home: Path | str, **env: str) -> Done:
    """A command of the victim's, with nothing said about where sockets go."""
    dropped = ("CROZE_RUNTIME_DIR", "XDG_RUNTIME_DIR")
    own_env = {key: value for key, value in own.env.items() if key not in dropped}
    command = [*own.prefix, *own.python, *words]
    every = {**own_env, "HOME": str(home), "CROZE_NO_WARM": "0", **env}
    return execute(command, every, cwd=Path("/"), check=False)


@contextlib.contextmanager
def lying_in_wait(
    own: Sandbox, thief: pwd.struct_passwd, folder: Path, precious: Path, names: Sequence[str]
) -> Iterator[list[str]]:
    """What the thief got, once it is over."""
    prefix = [f"--reuid={thief.pw_uid}", f"--regid={thief.pw_gid}", "--init-groups"]
    words = ["setpriv", *prefix, *map(str, own.python), "-c", THIEF, str(folder), str(precious)]
    got: list[str] = []
    with subprocess.Popen(
        [*words, *names], stdout=subprocess.PIPE, env=own.env, text=True
    ) as lurks:
        assert lurks.stdout is not None
        try:
            assert lurks.stdout.readline() == "ready\n"
            yield got
        finally:
            lurks.kill()
            got += lurks.stdout.read().splitlines()
            remove_tree(folder)


def warm_name(own: Sandbox, home: Path | str) -> str:
    """A thief may guess right."""
    return f"warm-{run(own, '-c', NAME, home=home).stdout.strip()}.sock"


def test_a_place_that_is_taken(
    own: Sandbox, victim: pwd.struct_passwd, thief: pwd.struct_passwd
) -> None:
    """Neither environment, nor streams, nor contexts go there, and no file is emptied."""
    precious = own.path / "precious"
    precious.write_text("precious")
    os.chown(precious, victim.pw_uid, victim.pw_gid)
    context = own.context("c", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    folder = Path(f"/tmp/croze-{victim.pw_uid}")
    names = ["crozed.sock", warm_name(own, "/nonexistent")]
    with lying_in_wait(own, thief, folder, precious, names) as got:
        for words in (["build", str(context)], ["du"]):
            done = run(own, "-m", "croze.cli.thin", *words, home="/nonexistent")
            assert done.code == 1, done.output
            assert f"belongs to another user (uid {thief.pw_uid})" in done.output
            assert "Traceback" not in done.output
    assert [line for line in got if line != "got 0"] == []
    assert precious.read_text() == "precious"
    assert own.wait_no_leftovers() == []


def test_a_better_place_than_everybodys(
    own: Sandbox, victim: pwd.struct_passwd, thief: pwd.struct_passwd
) -> None:
    """Who has a home does not care what is in /tmp."""
    precious = own.path / "precious"
    precious.write_text("precious")
    home = own.path / "home"
    home.mkdir()
    os.chown(home, victim.pw_uid, victim.pw_gid)
    context = own.context("c", {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    folder = Path(f"/tmp/croze-{victim.pw_uid}")
    names = ["crozed.sock", warm_name(own, home)]
    with lying_in_wait(own, thief, folder, precious, names) as got:
        done = run(
            own, "-m", "croze.cli.thin", "build", "-q", context, home=home, CROZE_NO_WARM="1"
        )
        assert done.code == 0, done.output
    assert got == []
    sockets = home / ".local/state/croze/run"
    assert sockets.stat().st_mode & 0o777 == 0o700
    os.kill(int((own.root / "crozed.pid").read_text()), signal.SIGTERM)
    assert own.wait_no_leftovers() == []


def test_a_false_daemon_in_an_open_directory(
    own: Sandbox, victim: pwd.struct_passwd, thief: pwd.struct_passwd
) -> None:
    """A directory that was chosen badly is refused, too."""
    folder = Path(f"/tmp/croze-open-{os.getpid()}")
    with lying_in_wait(own, thief, folder, own.path / "precious", ["crozed.sock"]) as got:
        os.chown(folder, victim.pw_uid, victim.pw_gid)
        done = run(own, "-m", "croze.cli.thin", "du", home="/", CROZE_RUNTIME_DIR=str(folder))
        assert done.code == 1
        assert "can be written to by others" in done.output
        # Closed again, with what was put there while it was open.
        folder.chmod(0o700)
        done = run(own, "-m", "croze.cli.thin", "du", home="/", CROZE_RUNTIME_DIR=str(folder))
        assert done.code == 1
        assert f"is another user's (uid {thief.pw_uid})" in done.output
    assert [line for line in got if line != "got 0"] == []


def test_what_the_client_keeps_is_its_users_alone(own: Sandbox, victim: pwd.struct_passwd) -> None:
    """Made with their mode, whatever the umask: never open for a moment."""
    code = """if True:
        import os
        os.umask(0)
        made = {}
        real = os.open
        def watched(path, flags, mode=0o777, **more):
            fd = real(path, flags, mode, **more)
            made[os.path.basename(os.fspath(path))] = os.fstat(fd).st_mode & 0o777
            return fd
        os.open = watched
        from croze.client.planning.make import node_id
        from croze.session.providers.auth import host_secret
        host_secret("h"), node_id()
        print(sorted(f"{name[:14]} {mode:o}" for name, mode in made.items() if "." in name[:1]))
    """
    home = own.path / "home"
    home.mkdir()
    os.chown(home, victim.pw_uid, victim.pw_gid)
    keep = {"DOCKER_CONFIG": str(home / ".docker"), "BUILDX_CONFIG": str(home / ".docker/buildx")}
    done = run(own, "-c", code, home=home, **keep)
    assert done.code == 0, done.output
    modes = {line.split()[-1].strip("'],\n[") for line in done.stdout.split(",")}
    assert modes == {"600"}, done.stdout
    for name in (".token_seed", "buildx/.buildNodeID"):
        assert (home / ".docker" / name).stat().st_mode & 0o777 == 0o600
