"""Why a daemon can't be reached, in plain words."""

from __future__ import annotations

import os
import socket

from croze import errors
from croze.rpc.addresses import not_connected
from croze.rpc.http2.frames import INVALID


def clearer(error: errors.Unavailable, address: str, *, far: bool = False) -> errors.CrozeError:
    """The error of a call to the daemon at `address`, reworded if there was no connection. `far`:
    only our end of a tunnel to it is there."""
    # The daemon has connections of its own, and may tell of one of those.
    _, ours, reason = str(error).partition(not_connected(address))
    if not ours:
        return error
    if far:
        return errors.Unavailable("the daemon at the other end of the connection answers nothing")
    scheme, _, path = address.partition("://")
    if scheme == "unix":
        return _socket(address, path, reason)
    return errors.Unavailable(f"cannot connect to the daemon at {address}: {reason}")


def _socket(address: str, path: str, reason: str) -> errors.CrozeError:
    """Look what it is that is not there, or not for us. `reason` is what became of a connection."""
    if not os.path.exists(path) and _may_look(path):
        return errors.Unavailable(f"there is no daemon at {address}: is crozed running there?")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except PermissionError:
            return errors.PermissionDenied(
                f"the daemon at {address} is not for this user: permission denied "
                "(crozed --group names a group that may use it)"
            )
        except OSError as error:
            why = errors.os_reason(error)
            return errors.Unavailable(
                f"no daemon listens at {address}: {why}: is crozed running there?"
            )
    if reason.startswith(INVALID):
        return errors.Unavailable(f"cannot connect to the daemon at {address}: {reason}")
    return errors.Unavailable(f"the daemon at {address} answers nothing")


def _may_look(path: str) -> bool:
    """Whether a path that is not there is really not there."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
