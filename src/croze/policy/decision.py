"""What a policy decides on a source, or what it must know first.

Source of the order, the words and the limits: buildx `policy/validate.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from croze.api import gateway_pb2, ops_pb2, policy_pb2, policysession_pb2
from croze.errors import CrozeError
from croze.gotypes import gojson
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform
from croze.policy.asking import Ask, Inquiry
from croze.policy.builtins import SIGNATURES, EvaluationNotes
from croze.policy.contract import DEBUG, INFO, ResolveSource, Setup, VerifyImage
from croze.policy.documents.document import InputDocument
from croze.policy.documents.sources import DocumentReader
from croze.policy.metadata import Needs, Resolving, add_unknowns, summary
from croze.policy.modules import modules_of
from croze.rego.module_set import ModuleSet
from croze.rego.unknowns import Found, Missing, Partial, Unknown
from croze.rego.values import to_plain

MOST_ROUNDS = 10
DOCUMENT = "data.docker.decision"
EXEC_PROXY = "exec.proxy"
_CAPS = frozenset({EXEC_PROXY})


class Decision(Struct, frozen=True):
    """What a policy says of one source; `allow` is None where it says nothing. `caps`: features of
    steps that it switches on or off."""

    allow: bool | None = None
    deny_messages: tuple[str, ...] = ()
    caps: Mapping[str, bool] = field(default_factory=dict)

    def plain(self) -> dict[str, object]:
        out: dict[str, object] = {} if self.allow is None else {"allow": self.allow}
        if self.deny_messages:
            out["deny_msg"] = list(self.deny_messages)
        return {**out, "caps": dict(self.caps)} if self.caps else out


class PolicyEvaluation:
    """One policy, asked as often as it takes."""

    def __init__(self, ask: Ask, setup: Setup) -> None:
        self._asking = Inquiry(ask, logs=setup.logs)
        self._setup = setup
        self._modules: ModuleSet | None = None
        self._log = self._asking.log
        self._reader = DocumentReader(self._log, self._verify if setup.verifier else None)
        resolve = self._resolve if setup.sources else None
        self._resolving = Resolving(self._reader, resolve, self._log)

    async def _verify(
        self, chain: gateway_pb2.AttestationChain, platform: Platform
    ) -> Mapping[str, object] | None:
        question = VerifyImage(chain.SerializeToString(), platforms.format(platform))
        answer = await self._asking.ask(question)
        assert answer is None or isinstance(answer, dict)
        return answer

    async def _resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        answer = await self._asking.ask(ResolveSource(request.SerializeToString()))
        assert isinstance(answer, bytes)
        return gateway_pb2.ResolveSourceMetaResponse.FromString(answer)

    def _compiled(self) -> ModuleSet:
        if self._modules is None:
            modules = modules_of(self._setup.files, self._asking.answers)
            self._modules = ModuleSet(modules, SIGNATURES)
        return self._modules

    async def _evaluate(
        self, document: InputDocument, plain: dict[str, object], unknown: Iterable[str] = ()
    ) -> tuple[Found | Missing, EvaluationNotes]:
        return await self._asking.evaluate(self._compiled, DOCUMENT, document, plain, unknown)

    async def document(
        self, response: gateway_pb2.ResolveSourceMetaResponse, platform: Platform | None
    ) -> InputDocument:
        """What the policy sees of a source. Raises `CrozeError`."""
        return await self._reader.document(response, platform)

    async def check(
        self, request: policysession_pb2.CheckPolicyRequest
    ) -> policysession_pb2.CheckPolicyResponse:
        """The decision on a source, or what must be known first. Raises `CrozeError`."""
        try:
            return await self._check(request)
        finally:
            await self._asking.flush()

    async def _check(
        self, request: policysession_pb2.CheckPolicyRequest
    ) -> policysession_pb2.CheckPolicyResponse:
        if not request.HasField("Source") or not request.Source.HasField("Source"):
            raise CrozeError("no source info in request")
        platform = _platform(request, self._setup.default_platform)
        try:
            document = await self._reader.document(request.Source, platform)
        except CrozeError as error:
            raise error.wrap("failed to build policy input") from None
        self._log(INFO, f"checking policy for source {_name(request)}")
        for _ in range(MOST_ROUNDS):
            answer = await self._round(request, document, platform)
            await self._asking.flush()
            if answer is not None:
                return answer
        raise CrozeError("maximum attempts reached for resolving policy metadata")

    async def _round(
        self,
        request: policysession_pb2.CheckPolicyRequest,
        document: InputDocument,
        platform: Platform | None,
    ) -> policysession_pb2.CheckPolicyResponse | None:
        """The answer; None if the document knows more now, and the next round may decide."""
        plain = document.plain(self._setup.env)
        self._log(DEBUG, f"policy input: {gojson.marshal_indent_as_is(plain).decode()}")
        unknown = list(document.unknowns())
        checksum: gateway_pb2.ChecksumRequest | None = None
        asked_names: set[str] = set()
        if unknown:
            self._log(DEBUG, f"unknowns for policy evaluation: {summary(unknown)}")
            value, notes = await self._evaluate(document, plain, unknown)
            checksum, asked_names = notes.checksum, notes.unknown
            names = _wanted(value, unknown) + sorted(asked_names)
            needs = await self._needs(request, document, platform, names, checksum)
            if needs.request is not None:
                return _next(needs.request)
            if needs.changed:
                return None
        value, notes = await self._evaluate(document, plain)
        names = sorted(notes.unknown | asked_names)
        checksum = notes.checksum or checksum
        needs = await self._needs(request, document, platform, names, checksum)
        if needs.request is not None:
            return _next(needs.request)
        return None if needs.changed else self._decided(request, value, notes.pins)

    async def _needs(
        self,
        request: policysession_pb2.CheckPolicyRequest,
        document: InputDocument,
        platform: Platform | None,
        names: list[str],
        checksum: gateway_pb2.ChecksumRequest | None,
    ) -> Needs:
        source = request.Source.Source
        if checksum is not None:
            meta_request = gateway_pb2.ResolveSourceMetaRequest(Source=source)
            if request.HasField("Platform"):
                meta_request.Platform.CopyFrom(request.Platform)
            add_unknowns(meta_request, names, self._log)
            meta_request.HTTP.ChecksumRequest.CopyFrom(checksum)
            needs = Needs(request=meta_request)
        elif names:
            own = request.Platform if request.HasField("Platform") else None
            needs = await self._resolving.needs(document, source, names, platform, own)
        else:
            return Needs()
        if needs.request is not None:
            self._log(
                INFO,
                f"policy decision for source {_name(request)}: resolve missing fields "
                f"{summary(names)}",
            )
        return needs

    def _decided(
        self,
        request: policysession_pb2.CheckPolicyRequest,
        value: Found | Missing,
        pins: set[str],
    ) -> policysession_pb2.CheckPolicyResponse:
        decision = read_decision(value)
        name = _name(request)
        self._log(DEBUG, f"policy response: {gojson.marshal(decision.plain()).decode()}")
        response = policysession_pb2.CheckPolicyResponse()
        response.decision.action = policy_pb2.ALLOW if decision.allow else policy_pb2.DENY
        for message in decision.deny_messages:
            response.decision.denyMessages.add(message=message)
        if decision.allow and len(pins) > 1:
            listed = " ".join(f"{pin}:{{}}" for pin in sorted(pins))
            raise CrozeError(f"multiple image pins set to {name}: map[{listed}]")
        if decision.allow and pins:
            pinned = _pinned(request.Source.Source, next(iter(pins)))
            self._log(INFO, f"policy decision for source {name}: convert to {pinned.identifier}")
            answer = policysession_pb2.CheckPolicyResponse()
            answer.decision.action = policy_pb2.CONVERT
            answer.decision.update.CopyFrom(pinned)
            return answer
        action = policy_pb2.PolicyAction.Name(response.decision.action)
        self._log(INFO, f"policy decision for source {name}: {action}")
        for message in decision.deny_messages:
            self._log(INFO, f" - {message}")
        return response

    async def caps(self) -> dict[str, bool]:
        """What the policy wants of the build itself. Raises `CrozeError`."""
        try:
            return await self._caps()
        finally:
            await self._asking.flush()

    async def _caps(self) -> dict[str, bool]:
        plain = InputDocument().plain(self._setup.env, caps=True)
        self._log(DEBUG, f"policy input: {gojson.marshal_indent_as_is(plain).decode()}")
        value, notes = await self._evaluate(InputDocument(), plain)
        if notes.unknown or notes.checksum is not None:
            raise CrozeError(
                "policy caps request cannot resolve source metadata: "
                f"{summary(sorted(notes.unknown))}"
            )
        return dict(read_decision(value).caps)


def _wanted(value: Found | Missing, unknown: list[str]) -> list[str]:
    """What the decision depends on, of that which can be asked for; in its order."""
    if not isinstance(value, Unknown):
        return []
    names = [name.removeprefix("input.") for name in unknown]
    return [name for name in names if name in value.refs]


def _next(
    request: gateway_pb2.ResolveSourceMetaRequest,
) -> policysession_pb2.CheckPolicyResponse:
    return policysession_pb2.CheckPolicyResponse(request=request)


def _platform(request: policysession_pb2.CheckPolicyRequest, default: str) -> Platform | None:
    if not request.HasField("Platform"):
        return platforms.parse(default) if default else None
    platform = request.Platform
    text = "/".join(filter(None, (platform.OS, platform.Architecture, platform.Variant)))
    try:
        return platforms.normalize(platforms.parse(text))
    except CrozeError as error:
        raise error.wrap("failed to parse platform") from None


def _name(request: policysession_pb2.CheckPolicyRequest) -> str:
    platform = _platform(request, "") if request.HasField("Platform") else None
    name = request.Source.Source.identifier
    return f"{name} ({platforms.format(platform)})" if platform else name


def _pinned(source: ops_pb2.SourceOp, digest: str) -> ops_pb2.SourceOp:
    scheme, _, name = source.identifier.partition("docker-image://")
    if scheme or not name:
        raise CrozeError(f'cannot pin non-image source: "{source.identifier}"')
    ref = reference.parse(name).with_digest(digest)
    attrs = {**source.attrs, "image.checksum": digest}
    return ops_pb2.SourceOp(identifier=f"docker-image://{ref}", attrs=attrs)


_GO_NAMES = {
    type(None): "<nil>",
    bool: "bool",
    int: "json.Number",
    float: "json.Number",
    str: "string",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


def read_decision(value: Found | Missing) -> Decision:
    """The decision that a policy's value stands for. Raises `CrozeError` for what is none."""
    if isinstance(value, Missing | Unknown | Partial):
        raise CrozeError("policy returned zero result")
    plain = to_plain(value)
    if not isinstance(plain, dict):
        raise CrozeError(f"unexpected policy return type: {_GO_NAMES[type(plain)]} {DOCUMENT}")
    allow = plain.get("allow")
    if "allow" in plain and not isinstance(allow, bool):
        raise CrozeError(f"invalid allowed property type {_GO_NAMES[type(allow)]}, expecting bool")
    messages = plain.get("deny_msg")
    texts = messages if isinstance(messages, list) else []
    return Decision(
        allow if isinstance(allow, bool) else None,
        tuple(each for each in texts if isinstance(each, str)),
        _read_caps(plain["caps"]) if "caps" in plain else {},
    )


def _read_caps(plain: object) -> dict[str, bool]:
    if not isinstance(plain, dict):
        raise CrozeError(f"invalid caps property type {_GO_NAMES[type(plain)]}, expecting object")
    for name, value in plain.items():
        if name not in _CAPS:
            raise CrozeError(f'unknown policy cap "{name}"')
        if not isinstance(value, bool):
            kind = _GO_NAMES[type(value)]
            raise CrozeError(f"invalid caps.{name} property type {kind}, expecting bool")
    return dict(plain)
