"""Where a user's own daemon and warm process live. Imports nothing but `os`: start-up time counts.

`CROZE_RUNTIME_DIR` (sockets) and `CROZE_ROOT` (state) override the defaults.
"""

import os


def runtime_dir() -> str:
    """The folder for sockets: made, for its user alone, by whoever first listens there."""
    chosen = os.environ.get("CROZE_RUNTIME_DIR")
    if chosen:
        return chosen
    if os.getuid() == 0:
        return "/run/croze"
    base = os.environ.get("XDG_RUNTIME_DIR")
    return f"{base}/croze" if base else f"/tmp/croze-{os.getuid()}"


def state_dir() -> str:
    """The folder for what must survive: blobs, snapshots, caches, the log."""
    chosen = os.environ.get("CROZE_ROOT")
    if chosen:
        return chosen
    if os.getuid() == 0:
        return "/var/lib/croze"
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    return f"{data}/croze"


def daemon_socket() -> str:
    """Where the user's own daemon listens."""
    return runtime_dir() + "/crozed.sock"


def warm_socket() -> str:
    """Where the user's warm process listens."""
    return runtime_dir() + "/warm.sock"


def daemon_addresses() -> str:
    """Where the daemon of the user's state says at which addresses it listens."""
    return state_dir() + "/crozed.addresses"


def daemon_log() -> str:
    """Where the user's own daemon writes what it has to say."""
    return state_dir() + "/crozed.log"
