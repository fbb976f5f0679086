"""An ordinary user of the machine, for a test, and a Python that this user can run."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from croze.fs.mount import unmount
from croze.fs.remove import remove_tree
from croze.store.contract import MountSpec
from croze.store.mount import mount
from tests.e2e.sandbox import REPO, Sandbox

NAME = "croze-e2e"


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


@contextlib.contextmanager
def ordinary_user(name: str = NAME) -> Iterator[pwd.struct_passwd]:
    """Made with ids in /etc/subuid and /etc/subgid, as `useradd` does it; removed again. The name
    is of this run alone."""
    name = f"{name}-{os.getpid()}"
    _run("useradd", "--no-create-home", "--shell", "/bin/sh", name)
    try:
        yield pwd.getpwnam(name)
    finally:
        _run("userdel", name)


@contextlib.contextmanager
def shared_python() -> Iterator[Path]:
    """This interpreter, its packages and our repository, where any user can read them."""
    parts = {
        "python": Path(sys.base_prefix),
        "packages": Path(sysconfig.get_path("purelib")),
        "repo": REPO,
    }
    folder = Path(tempfile.mkdtemp(prefix="shared-"))  # noqa: TID251 - for other users
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(remove_tree, folder)
        for part, source in parts.items():
            (folder / part).mkdir()
            mount(MountSpec("bind", str(source), ("bind",)), folder / part)
            stack.callback(unmount, folder / part)
        yield folder


def python_in(shared: Path) -> Path:
    """The interpreter of a `shared_python`."""
    return shared / "python/bin" / f"python3.{sys.version_info.minor}"


def python_settings(shared: Path) -> dict[str, str]:
    """The variables by which it finds its libraries, our packages and our repository."""
    return {
        "PYTHONPATH": f"{shared}/repo/src:{shared}/packages",
        "LD_LIBRARY_PATH": f"{shared}/python/lib",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@contextlib.contextmanager
def user_sandbox(user: pwd.struct_passwd, shared: Path) -> Iterator[Sandbox]:
    """A sandbox that is the user's, in a folder of the user's."""
    folder = Path(tempfile.mkdtemp(prefix="user-"))  # noqa: TID251 - for another user
    os.chown(folder, user.pw_uid, user.pw_gid)
    made = Sandbox(folder)
    made.prefix = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups")
    made.python = (python_in(shared),)
    made.extra_env = {**python_settings(shared), "XDG_RUNTIME_DIR": str(folder / "run")}
    made.runtime.mkdir()
    os.chown(made.runtime, user.pw_uid, user.pw_gid)
    try:
        with made.ending():
            yield made
    finally:
        remove_tree(folder)
