"""What a build is of, for its record: by it, builds of the same thing are found and compared."""

from __future__ import annotations

from croze.api import control_pb2
from croze.api.attrs import of_attrs
from croze.gotypes.strings import shown
from croze.session.contract import SessionManager
from croze.why.recorder import BuildInfo, scope_of

WARN_ARG = "build-arg:CROZE_WHY"
"""Set to 0 or false, a build has no warnings of cache misses."""


def build_info(sessions: SessionManager, request: control_pb2.SolveRequest) -> BuildInfo:
    """What a solve request is of."""
    attrs = {k: shown(v) for k, v in of_attrs(request.FrontendAttrs).items()}
    session = sessions.current(request.Session)
    shared_key = session.shared_key if session is not None else ""
    file = attrs.get("filename") or "Dockerfile"
    return BuildInfo(
        ref=request.Ref,
        scope=scope_of(shared_key, attrs.get("context", ""), file),
        file=file,
        target=attrs.get("target", ""),
        warn=attrs.get(WARN_ARG, "").lower() not in ("0", "false"),
    )
