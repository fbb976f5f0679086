"""Directories that several builds read: lent once for all of them.

A directory is a vertex for every session that has it. In one session it is the same vertex for all,
so the daemon asks for it once, and steps that copy from it are done once. Source: buildx
`build/build.go` (detectSharedMounts).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from croze.client.plan import LocalDir, SolvePlan
from croze.identity import new_id

_Key = tuple[str, str, tuple[str, ...]]


def share_directories(plans: Iterable[SolvePlan]) -> dict[str, SolvePlan]:
    """What sessions of their own lend, by the sessions' ids; the plans are told where to look.

    A session lends one directory under a name, so there are as many as the most different
    directories of one name that are shared.
    """
    users: dict[_Key, list[SolvePlan]] = {}
    for plan in plans:
        for name, local in plan.local_dirs.items():
            key = (name, os.path.realpath(local.path), local.exclude)
            users.setdefault(key, []).append(plan)
    sessions: dict[str, SolvePlan] = {}
    for (name, _, exclude), readers in users.items():
        if len(readers) > 1:
            id = _session_without(name, sessions, readers[0].shared_key)
            sessions[id].local_dirs[name] = LocalDir(readers[0].local_dirs[name].path, exclude)
            for plan in readers:
                plan.frontend_attrs[f"local-sessionid:{name}"] = id
    return sessions


def _session_without(name: str, sessions: dict[str, SolvePlan], shared_key: str) -> str:
    for id, lent in sessions.items():
        if name not in lent.local_dirs:
            return id
    id = new_id()
    sessions[id] = SolvePlan(shared_key=shared_key, docker_auth=False)
    return id
