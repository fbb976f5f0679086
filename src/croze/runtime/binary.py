"""The OCI runtime's executable: crun, or runc where there is no crun."""

from __future__ import annotations

import fcntl
import logging
import os
from pathlib import Path

from croze.errors import Unsupported

log = logging.getLogger(__name__)

RUNTIMES = ("crun", "runc")
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def find_runtime(binary: str = "") -> str:
    """The path of the OCI runtime. Raises `Unsupported` naming those looked for."""
    names = (binary,) if binary else RUNTIMES
    path = os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin"
    for name in names:
        for folder in path.split(":") if "/" not in name else ("",):
            program = os.path.join(folder, name)
            if os.access(program, os.X_OK) and not os.path.isdir(program):
                return program
    raise Unsupported(
        f"failed to find {' or '.join(names)} binary: containers are started with crun or runc "
        "(Debian: apt-get install crun)"
    )


class SealedCopy:
    """The executable in memory, where nobody can write to it.

    crun makes such a copy of itself and starts that whenever it was not started from one, so that
    containers can't overwrite it. Made once, it saves each container the second start.
    """

    def __init__(self, binary: str) -> None:
        self._fd = -1
        try:
            data = Path(binary).read_bytes()
            if data.startswith(b"\x7fELF"):
                self._fd = os.memfd_create("crun", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.write(self._fd, data)
                fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            log.debug("no sealed copy of %s: %s", binary, error)
        own = f"/proc/self/fd/{self._fd}"
        # The system may forbid that memory is executed.
        self.path = own if self._fd >= 0 and os.access(own, os.X_OK) else binary
        """To be executed by children of this process."""

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
