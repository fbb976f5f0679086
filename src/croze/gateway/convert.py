"""Values of the bridge ↔ messages of `moby.buildkit.v1.frontend`."""

from __future__ import annotations

from collections.abc import Callable

from croze.api import gateway_pb2
from croze.errors import InvalidRequest
from croze.gateway.results import BridgeAttestation, BridgeRef, BridgeResult, Subject

FindRef = Callable[[str], BridgeRef | None]
"""Ref by id; None for an empty id, an error for an unknown one."""


def result_message(result: BridgeResult, *, ref_arrays: bool) -> gateway_pb2.Result:
    """A result as a message; `ref_arrays`: the client knows refs that carry their definition."""
    message = gateway_pb2.Result(metadata=result.metadata)
    if result.refs is not None and ref_arrays:
        message.refs.SetInParent()
        for key, ref in result.refs.items():
            message.refs.refs[key].CopyFrom(_ref_message(ref))
    elif result.refs is not None:
        message.refsDeprecated.SetInParent()
        for key, ref in result.refs.items():
            message.refsDeprecated.refs[key] = _id(ref)
    elif ref_arrays:
        message.ref.CopyFrom(_ref_message(result.ref))
    else:
        message.refDeprecated = _id(result.ref)
    for key, attached in result.attestations.items():
        messages = [_attestation_message(a) for a in attached]
        message.attestations[key].attestation.extend(messages)
    return message


def result_of(message: gateway_pb2.Result, find: FindRef) -> BridgeResult:
    """What a frontend returns; its refs are found by id."""
    metadata = dict(message.metadata)
    attestations = {
        key: tuple(_attestation_of(a, find) for a in attached.attestation)
        for key, attached in message.attestations.items()
    }
    match message.WhichOneof("result"):
        case "refs":
            refs = {key: find(ref.id) for key, ref in message.refs.refs.items()}
            return BridgeResult(refs=refs, metadata=metadata, attestations=attestations)
        case "refsDeprecated":
            refs = {key: find(id) for key, id in message.refsDeprecated.refs.items()}
            return BridgeResult(refs=refs, metadata=metadata, attestations=attestations)
        case "ref":
            ref = find(message.ref.id)
        case "refDeprecated":
            ref = find(message.refDeprecated)
        case _:
            ref = None
    return BridgeResult(ref=ref, metadata=metadata, attestations=attestations)


def _id(ref: BridgeRef | None) -> str:
    return "" if ref is None else ref.id


def _ref_message(ref: BridgeRef | None) -> gateway_pb2.Ref:
    if ref is None:
        return gateway_pb2.Ref()
    return gateway_pb2.Ref(id=ref.id, **{"def": ref.definition})


def _attestation_message(attestation: BridgeAttestation) -> gateway_pb2.Attestation:
    message = gateway_pb2.Attestation(
        kind=_attestation_kind(attestation.kind),
        metadata=attestation.metadata,
        path=attestation.path,
        inTotoPredicateType=attestation.predicate_type,
        inTotoSubjects=[
            gateway_pb2.InTotoSubject(
                kind=_subject_kind(s.kind), name=s.name, digest=list(s.digests)
            )
            for s in attestation.subjects
        ],
    )
    if attestation.ref is not None:
        message.ref.CopyFrom(_ref_message(attestation.ref))
    return message


def _attestation_of(message: gateway_pb2.Attestation, find: FindRef) -> BridgeAttestation:
    return BridgeAttestation(
        kind=_attestation_kind(message.kind),
        predicate_type=message.inTotoPredicateType,
        path=message.path,
        ref=find(message.ref.id) if message.HasField("ref") else None,
        metadata=dict(message.metadata),
        subjects=tuple(
            Subject(_subject_kind(s.kind), s.name, tuple(s.digest)) for s in message.inTotoSubjects
        ),
    )


def _attestation_kind(kind: int) -> gateway_pb2.AttestationKind.ValueType:
    if kind not in gateway_pb2.AttestationKind.values():
        raise InvalidRequest(f"unknown attestation kind {kind}")
    return gateway_pb2.AttestationKind.ValueType(kind)


def _subject_kind(kind: int) -> gateway_pb2.InTotoSubjectKind.ValueType:
    if kind not in gateway_pb2.InTotoSubjectKind.values():
        raise InvalidRequest(f"unknown in-toto subject kind {kind}")
    return gateway_pb2.InTotoSubjectKind.ValueType(kind)
