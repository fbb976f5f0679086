"""Where a user's own daemon and warm process live. Imports nothing but `os`: start-up time counts.

`CROZE_RUNTIME_DIR` (sockets) and `CROZE_ROOT` (state) override the defaults.
"""

import os

LONGEST_RUNTIME_DIR = 80
"""A socket's path has room for 107 bytes."""
WARM_PREFIX = "warm-"
"""What the names of warm processes' sockets begin with."""


def runtime_dir() -> str:
    """The folder for sockets: made, for its user alone, by whoever first listens there, with
    `croze.files.own`. In a directory for everybody only if this user has no other."""
    chosen = os.environ.get("CROZE_RUNTIME_DIR")
    if chosen:
        return chosen
    uid = os.getuid()
    if uid == 0:
        return "/run/croze"
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base and (_is_mine(base, uid) or not os.path.exists(base)):
        return f"{base}/croze"
    if _is_mine(f"/run/user/{uid}", uid):
        return f"/run/user/{uid}/croze"
    home = os.path.expanduser("~")
    below_home = f"{home}/.local/state/croze/run"
    if _is_mine(home, uid) and len(os.fsencode(below_home)) <= LONGEST_RUNTIME_DIR:
        return below_home
    return f"/tmp/croze-{uid}"


def _is_mine(path: str, uid: int) -> bool:
    """Whether it is this user's to make directories in."""
    try:
        return os.stat(path).st_uid == uid and os.access(path, os.W_OK)
    except OSError:
        return False


def state_dir() -> str:
    """The folder for what must survive: blobs, snapshots, caches, the log."""
    chosen = os.environ.get("CROZE_ROOT")
    if chosen:
        return chosen
    if os.getuid() == 0:
        return "/var/lib/croze"
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return f"{data}/croze"


def default_daemon_state() -> str:
    """The state of a `crozed` that somebody started by hand, or systemd: BuildKit's place. Empty
    where this user's places were chosen: then nobody else's daemon is meant."""
    if os.environ.get("CROZE_ROOT") or os.environ.get("CROZE_RUNTIME_DIR"):
        return ""
    if os.getuid() == 0:
        return "/var/lib/buildkit"
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return f"{data}/buildkit"


def docker_socket() -> str:
    """Where the user's own daemon serves Docker's API, for `DOCKER_HOST`."""
    return f"{runtime_dir()}/docker.sock"


def daemon_socket() -> str:
    """Where the user's own daemon listens."""
    return runtime_dir() + "/crozed.sock"


def warm_socket(name: str) -> str:
    """Where the user's warm process of that name listens."""
    return f"{runtime_dir()}/{WARM_PREFIX}{name}.sock"


def daemon_addresses(state: str) -> str:
    """Where the daemon of a state says at which addresses it listens."""
    return state + "/crozed.addresses"


def daemon_log() -> str:
    """Where the user's own daemon writes what it has to say."""
    return state_dir() + "/crozed.log"


def daemon_pid() -> str:
    """Where the user's own daemon says which process it is."""
    return state_dir() + "/crozed.pid"


def state_lock() -> str:
    """What the daemon holds that has the user's own state."""
    return state_dir() + "/lock"
