"""Run the tests of a policy. Source: buildx `policy/tester.go`."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from croze.api import gateway_pb2, ops_pb2, policysession_pb2
from croze.errors import CrozeError
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.policy.asking import Ask, Inquiry
from croze.policy.builtins import SIGNATURES, EvaluationNotes, NotKnown
from croze.policy.contract import DefaultPlatform, PolicyEnv, PolicyFile, ResolveSource, Setup
from croze.policy.decision import PolicyEvaluation
from croze.policy.documents.document import InputDocument
from croze.policy.metadata import add_unknowns, platform_message
from croze.policy.modules import modules_of
from croze.policy.testing.refs import input_names, missing
from croze.policy.testing.report import TestReport, TestResult
from croze.policy.testing.shape import shaped_input
from croze.rego.errors import EvaluationError, FunctionError
from croze.rego.module_set import ModuleSet
from croze.rego.parse.module import parse_module
from croze.rego.syntax import Module, RefTerm, Rule, Scalar, Term, Var
from croze.rego.unknowns import Found, Missing, Partial, Unknown
from croze.rego.values import Boolean, Object, to_plain

MOST_ROUNDS = 5
_KINDS = ("image", "git", "http", "local")
Plain = dict[str, object]


class TestRun(Struct, frozen=True):
    __test__ = False

    policy: PolicyFile
    tests: tuple[PolicyFile, ...]
    only: str = ""
    """A part of the names of those to run."""


async def run_tests(ask: Ask, run: TestRun) -> TestReport:
    """Run the tests whose names have `run.only` in them, each with its own input. Raises
    `CrozeError` for a policy that can't be read, and when there is no test."""
    suite = _Suite(ask, run)
    tests = [rule for rule in suite.tests if run.only in rule.name[0]]
    if not tests:
        raise CrozeError("no tests found")
    await suite.load()
    return TestReport(tuple([await suite.result(rule) for rule in tests]))


class _Suite:
    def __init__(self, ask: Ask, run: TestRun) -> None:
        self._ask = ask
        self._run = run
        self._asking = Inquiry(ask, logs=False)
        self._own = parse_module(run.policy.name, run.policy.text)
        self._modules: ModuleSet | None = None
        tests: dict[str, tuple[Rule, Module]] = {}
        for each in run.tests:
            module = parse_module(each.name, each.text)
            tests.update({rule.name[0]: (rule, module) for rule in module.rules if _is_test(rule)})
        self._packages = {name: module.package for name, (_, module) in tests.items()}
        self.tests = [tests[name][0] for name in sorted(tests)]

    async def load(self) -> None:
        """Read what is imported. Raises `CrozeError` for what can't be compiled."""
        while self._modules is None:
            try:
                files = (self._run.policy, *self._run.tests)
                modules = modules_of(files, self._asking.answers, packages_known=True)
            except NotKnown as wanted:
                await self._learn(wanted)
                continue
            try:
                self._modules = ModuleSet(modules, SIGNATURES)
            except CrozeError as error:
                raise error.wrap("compile") from None

    async def _learn(self, unknown: NotKnown) -> None:
        try:
            answer = await self._ask(unknown.question)
        except CrozeError as error:
            answer = error
        self._asking.answers[unknown.question] = answer

    def _compiled(self) -> ModuleSet:
        assert self._modules is not None
        return self._modules

    async def result(self, rule: Rule) -> TestResult:
        name = rule.name[0]
        package = ".".join(("data", *self._packages[name]))
        names = input_names([self._own]) if self._own.package == self._packages[name] else []
        own_input = _given_input(rule)
        plain = await self._resolved(own_input, names) or own_input
        document = _document(plain)
        value, notes = await self._evaluate(f"{package}.{name}", document, plain)
        decision, more = await self._decision(f"{package}.decision", document, plain)
        unknown = [*sorted(notes.unknown), *sorted(more.unknown)]
        lacking = sorted(set(missing([*names, *unknown], plain)))
        allow = decision.get("allow") if decision else None
        reasons = decision.get("deny_msg") if decision else None
        return TestResult(
            name,
            isinstance(value, Boolean) and bool(value),
            allow if isinstance(allow, bool) else None,
            tuple(map(str, reasons)) if isinstance(reasons, list) else (),
            plain,
            decision,
            tuple(lacking),
            _kinds_of(lacking),
        )

    async def _evaluate(
        self, name: str, document: InputDocument, plain: Plain | None
    ) -> tuple[Found | Missing, EvaluationNotes]:
        return await self._asking.evaluate(self._compiled, name, document, plain)

    async def _decision(
        self, name: str, document: InputDocument, plain: Plain | None
    ) -> tuple[Plain | None, EvaluationNotes]:
        try:
            value, notes = await self._evaluate(name, document, plain)
        except (EvaluationError, FunctionError):
            return None, EvaluationNotes()
        if isinstance(value, Missing | Unknown | Partial) or not isinstance(value, Object):
            return None, notes
        return _read(to_plain(value)), notes

    # -- sources that a test names --

    async def _resolved(self, own_input: Plain | None, names: Sequence[str]) -> Plain | None:
        """What an image that a test names is like; None if it names none."""
        source, platform = _image(own_input), _platform(own_input)
        if not source:
            return None
        if platform is None:
            text = await self._ask(DefaultPlatform())
            platform = platforms.parse(str(text))
        env = _env(own_input)
        evaluation = PolicyEvaluation(
            self._ask, Setup((self._run.policy,), env or PolicyEnv(), logs=False)
        )
        request = policysession_pb2.CheckPolicyRequest(Platform=platform_message(platform))
        request.Source.Source.identifier = source
        for _ in range(MOST_ROUNDS):
            answer = await evaluation.check(request)
            meta_request = answer.request
            if answer.WhichOneof("result") == "decision":
                document = await evaluation.document(request.Source, platform)
                plain = document.plain(env)
                more = _wanted(request.Source.Source, names, plain)
                if more is None:
                    return plain
                meta_request = more
            request.Source.CopyFrom(await self._resolve(meta_request))
        raise CrozeError("maximum attempts reached for resolving policy metadata")

    async def _resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        data = await self._ask(ResolveSource(request.SerializeToString()))
        assert isinstance(data, bytes)
        return gateway_pb2.ResolveSourceMetaResponse.FromString(data)


def _wanted(
    source: ops_pb2.SourceOp, names: Sequence[str], plain: Plain
) -> gateway_pb2.ResolveSourceMetaRequest | None:
    """A request for what the policy looks at and nobody has asked for yet."""
    lacking = [name for name in missing(names, plain) if name.startswith(("image.", "git."))]
    request = gateway_pb2.ResolveSourceMetaRequest(Source=source)
    try:
        add_unknowns(request, lacking, lambda level, message: None)
    except CrozeError:
        return None
    return request if request.HasField("Image") or request.HasField("Git") else None


def _is_test(rule: Rule) -> bool:
    value = rule.branches[0].value
    is_boolean = isinstance(value, Scalar) and isinstance(value.value, Boolean)
    return rule.args is None and is_boolean and rule.name[0].startswith("test_")


def _given_input(rule: Rule) -> Plain | None:
    """What the test says that the input is. Raises `CrozeError`."""
    inputs: list[object] = []
    for branch in rule.branches[:1]:
        for each in (w for expr in branch.body for w in expr.withs):
            if _is_input(each.target):
                inputs.append(_constant(each.value, rule))
    if any(each != inputs[0] for each in inputs):
        raise CrozeError(f"multiple input overrides for {rule.name[0]}")
    if not inputs:
        return None
    try:
        return shaped_input(inputs[0])
    except CrozeError as error:
        raise error.wrap(f"failed to decode test input for {rule.name[0]}") from None


def _is_input(target: Term) -> bool:
    if isinstance(target, RefTerm):
        return isinstance(target.head, Var) and target.head.name == "input" and not target.path
    return isinstance(target, Var) and target.name == "input"


def _constant(term: Term, rule: Rule) -> object:
    from croze.rego.constants import constant

    value = constant(term)
    if isinstance(value, Missing):
        raise CrozeError(f"failed to decode test input for {rule.name[0]}: it is no constant")
    return to_plain(value)


def _document(plain: Plain | None) -> InputDocument:
    for kind in _KINDS:
        fields = (plain or {}).get(kind)
        if isinstance(fields, dict):
            return InputDocument(kind, fields)
    return InputDocument()


def _image(plain: Plain | None) -> str:
    """The identifier of the image that an input is about; empty if it is about none."""
    image = (plain or {}).get("image")
    if not isinstance(image, dict):
        return ""
    ref = str(image.get("ref") or image.get("fullRepo") or image.get("repo") or "")
    tag = str(image.get("tag") or "")
    if ref and tag and ":" not in ref:
        ref = f"{ref}:{tag}"
    return f"docker-image://{ref}" if ref else ""


def _platform(plain: Plain | None) -> Platform | None:
    image = (plain or {}).get("image")
    if not isinstance(image, dict):
        return None
    if image.get("platform"):
        text = str(image["platform"])
        try:
            return platforms.normalize(platforms.parse(text))
        except CrozeError as error:
            raise error.wrap(f"invalid platform {text}") from None
    if not any(image.get(name) for name in ("os", "arch", "variant")):
        return None
    os, arch, variant = (str(image.get(name) or "") for name in ("os", "arch", "variant"))
    return Platform(arch, os, variant=variant)


def _env(plain: Plain | None) -> PolicyEnv | None:
    env = (plain or {}).get("env")
    if not isinstance(env, dict):
        return None
    args, labels = env.get("args") or {}, env.get("labels") or {}
    return PolicyEnv(args, labels, str(env.get("filename", "")), str(env.get("target", "")))


def _read(plain: object) -> Plain | None:
    """A decision, leniently: what is no decision is left out."""
    if not isinstance(plain, dict):
        return None
    out: Plain = {}
    if isinstance(plain.get("allow"), bool):
        out["allow"] = plain["allow"]
    reasons = plain.get("deny_msg")
    messages = (
        [reasons] if isinstance(reasons, str) else reasons if isinstance(reasons, list) else []
    )
    texts = [each for each in messages if isinstance(each, str)]
    caps = plain.get("caps")
    known_caps = (
        {k: v for k, v in caps.items() if isinstance(v, bool)} if isinstance(caps, dict) else {}
    )
    return (
        out | ({"deny_msg": texts} if texts else {}) | ({"caps": known_caps} if known_caps else {})
    )


def _kinds_of(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    request = gateway_pb2.ResolveSourceMetaRequest()
    try:
        add_unknowns(request, names, lambda level, message: None)
    except CrozeError:
        return ()
    kinds = (("git", request.HasField("Git")), ("image", request.HasField("Image")))
    return tuple(kind for kind, asks in kinds if asks)
