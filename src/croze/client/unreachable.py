"""Why a daemon can't be reached, in plain words in place of gRPC's."""

from __future__ import annotations

import os
import re
import socket

from croze import errors

_NOT_CONNECTED = ("failed to connect to all addresses", "errors resolving ")
"""How grpc begins its account of a connection that never came about."""


def clearer(error: errors.Unavailable, address: str, *, far: bool = False) -> errors.CrozeError:
    """The error of a call to the daemon at `address`, reworded if there was no connection. `far`:
    only our end of a tunnel to it is there."""
    scheme, _, path = address.partition("://")
    # The daemon has connections of its own, and may tell of one of those.
    ours = f"unix:{path}" if scheme == "unix" else f":{path.rpartition(':')[2]}"
    if ours not in str(error) or not any(text in str(error) for text in _NOT_CONNECTED):
        return error
    if far:
        return errors.Unavailable("the daemon at the other end of the connection answers nothing")
    if scheme == "unix":
        return _socket(address, path)
    reasons = re.findall(r"(?:error:|host: |UNKNOWN: )([^:\[\]]+)", str(error))
    reason = str(reasons[-1]).strip().lower() if reasons else "no connection"
    return errors.Unavailable(f"cannot connect to the daemon at {address}: {reason}")


def _socket(address: str, path: str) -> errors.CrozeError:
    """Look what it is that is not there, or not for us."""
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
            reason = (error.strerror or str(error)).lower()
            return errors.Unavailable(
                f"no daemon listens at {address}: {reason}: is crozed running there?"
            )
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
