"""`croze.v1.Why`: why the steps of past builds missed the cache, and what builds are of."""

from __future__ import annotations

from datetime import UTC, datetime

from croze.api import control_pb2, why_pb2, why_pb2_grpc
from croze.api.attrs import of_attrs
from croze.daemon.status import timestamp
from croze.errors import NotFound
from croze.gotypes.strings import shown
from croze.rpc.servers import Context, unary
from croze.session.contract import SessionManager
from croze.why import text
from croze.why.explainer import ExplainedStep
from croze.why.reasons import Reason
from croze.why.record import RecordedBuild, RecordedStep
from croze.why.recorder import LISTED_FILES, BuildInfo, Recorder, scope_of

WARN_ARG = "build-arg:CROZE_WHY"
"""Set to 0 or false, a build has no warnings of cache misses."""


class WhyService(why_pb2_grpc.WhyServicer):
    """The `Why` service: answers from the records of past builds."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @unary
    async def Explain(
        self, request: why_pb2.ExplainRequest, context: Context
    ) -> why_pb2.ExplainResponse:
        limit = request.files or LISTED_FILES
        explanation = await self._recorder.explain(request.ref, limit=limit)
        if explanation is None:
            what = f"no build {request.ref} is" if request.ref else "no builds are"
            raise NotFound(f"{what} on record")
        build, explained = explanation
        return response(build, explained)


def response(build: RecordedBuild, explained: list[ExplainedStep]) -> why_pb2.ExplainResponse:
    reasons = {one.step.digest: one for one in explained}
    return why_pb2.ExplainResponse(
        ref=build.ref,
        file=build.file,
        target=build.target,
        created_at=timestamp(_moment(build.created_us)),
        failed=build.failed,
        steps=[_step(s, reasons.get(s.digest)) for s in build.steps if not s.internal],
        summary=text.summary(build, explained),
    )


def _moment(microseconds: int) -> datetime | None:
    return datetime.fromtimestamp(microseconds / 1e6, UTC) if microseconds else None


def _step(step: RecordedStep, explained: ExplainedStep | None) -> why_pb2.Step:
    message = why_pb2.Step(name=step.name, line=step.line, outcome=step.outcome)
    if explained is not None:
        message.reasons.extend(_reason(reason) for reason in explained.reasons)
        message.compared_ref = explained.compared_ref
        moment = timestamp(_moment(explained.compared_us))
        if moment is not None:
            message.compared_at.CopyFrom(moment)
    return message


def _reason(reason: Reason) -> why_pb2.Reason:
    return why_pb2.Reason(
        kind=reason.kind,
        subject=reason.subject,
        old=reason.old,
        new=reason.new,
        files=[why_pb2.File(path=f.path, kind=f.kind) for f in reason.files],
        file_count=reason.count,
        file_total=reason.total,
        text=list(text.full(reason)),
    )


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
