"""`croze.v1.Why`: why the steps of past builds missed the cache."""

from __future__ import annotations

from datetime import UTC, datetime

from croze.api import why_pb2, why_pb2_grpc
from croze.daemon.build.status import timestamp
from croze.errors import NotFound
from croze.rpc.servers import Context, unary
from croze.why import text
from croze.why.explainer import ExplainedStep
from croze.why.reasons import Reason
from croze.why.record import RecordedBuild, RecordedStep
from croze.why.recorder import LISTED_FILES, Recorder


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
    """An explanation on the wire; steps that only Croze made are left out."""
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
