"""Make room for limits in a cgroup tree of version 2 that is the daemon's own.

Below a cgroup that has processes the kernel turns on no controllers, save for the machine's root.
In a container the root of the tree is such a cgroup: it holds the daemon. With
`BUILDKIT_SETUP_CGROUPV2_ROOT` (BuildKit `executor/resources/monitor.go`), which its images set, all
that is there moves into a child, `init`, and all controllers are turned on for the others.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from croze.gotypes.booleans import parse_bool
from croze.runtime.host import CGROUP_ROOT, cgroup_mode

log = logging.getLogger(__name__)

VARIABLE = "BUILDKIT_SETUP_CGROUPV2_ROOT"
_INIT = "init"
_MEMBERS = "cgroup.procs"


def prepare(environ: Mapping[str, str] = os.environ, root: Path = CGROUP_ROOT) -> None:
    """If it is asked for. What can't be done is told in the log: containers may run without."""
    if not parse_bool(environ.get(VARIABLE, "")) or cgroup_mode(root) != "v2":
        return
    try:
        _move_members(root)
    except OSError as error:
        log.warning("failed to prepare cgroup controllers: %s", error)
        return
    for controller in (root / "cgroup.controllers").read_text("ascii").split():
        try:
            (root / "cgroup.subtree_control").write_text(f"+{controller}", "ascii")
        except OSError as error:
            log.warning('failed to enable cgroup controller "%s": %s', controller, error)


def _move_members(root: Path) -> None:
    """One at a time, as the kernel takes them. One that has ended meanwhile is none."""
    init = root / _INIT
    init.mkdir(mode=0o755, exist_ok=True)
    for pid in (root / _MEMBERS).read_text("ascii").split():
        try:
            (init / _MEMBERS).write_text(pid, "ascii")
        except ProcessLookupError:
            continue
