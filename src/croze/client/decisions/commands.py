"""What `policy eval` and `policy test` do.

Source of the order, the limits and the words: buildx `commands/policy`.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct

from croze.api import gateway_pb2, ops_pb2, policy_pb2, policysession_pb2
from croze.client.connect import Client, Dial
from croze.client.decisions.decide import MOST_ROUNDS, decide, sources_of
from croze.client.planning.inputs import is_git, is_http
from croze.client.policies.files import PolicyFiles
from croze.client.policies.signatures import verifier
from croze.client.policies.source_resolver import SourceResolver
from croze.errors import CrozeError, InvalidRequest, NotFound, os_reason
from croze.gotypes import gojson
from croze.gotypes.quote import quote
from croze.image import platform as platforms
from croze.image import reference
from croze.image.platform import Platform
from croze.llb.gitref import parse_git_ref
from croze.policy import work
from croze.policy.contract import PolicyEnv, PolicyFile, Setup
from croze.policy.documents.git import FULL_URL
from croze.policy.documents.sources import DocumentReader
from croze.policy.evaluator import Answering, Policy
from croze.policy.fields import to_ask, unresolved
from croze.policy.metadata import Resolving, platform_message
from croze.policy.options import PolicyPlace
from croze.policy.testing.report import TestReport
from croze.policy.testing.run import TestRun
from croze.workers.pool import WorkerPool

_HERE = PolicyPlace(context_dir=".")
_TEST = "_test.rego"


def source_of(text: str) -> ops_pb2.SourceOp:
    """The source op that a word names: an image, a repository, a web address, or the directory
    here. Raises `CrozeError`."""
    name = text.removeprefix("docker-image://")
    if name != text:
        try:
            ref = reference.parse(name).tagged()
        except CrozeError as error:
            raise error.wrap("failed to parse image source reference") from None
        return ops_pb2.SourceOp(identifier=f"docker-image://{ref}")
    if text.startswith("git://"):
        if parse_git_ref(text) is None:
            raise InvalidRequest(f"invalid git context {text}")
        return ops_pb2.SourceOp(identifier=text)
    if is_http(text):
        if is_git(text):
            return ops_pb2.SourceOp(identifier=f"git://{text}", attrs={FULL_URL: text})
        return ops_pb2.SourceOp(identifier=text)
    if not os.path.exists(text):
        reason = f"stat {text}: no such file or directory"
        raise NotFound(f"invalid local path {text}: {reason}")
    return ops_pb2.SourceOp(identifier="local://context")


async def _platform(client: Client, text: str) -> Platform:
    if text:
        try:
            return platforms.normalize(platforms.parse(text))
        except CrozeError as error:
            raise error.wrap(f"invalid platform {quote(text)}") from None
    workers = await client.workers()
    if not workers:
        raise CrozeError("no workers available in the builder")
    first = workers[0].platforms[0]
    return Platform(first.Architecture, first.OS, variant=first.Variant)


# -- eval --


async def evaluate(
    client: Client,
    source: ops_pb2.SourceOp,
    platform: str,
    policy: PolicyFile,
    shown: str,
    log: Callable[[int, str], None],
) -> None:
    """See that a policy allows a source. It may read files below the working directory; `shown` is
    what it hears of the Dockerfile's name. Raises `CrozeError` if it denies the source, or can't be
    evaluated."""
    chosen = await _platform(client, platform)
    request = policysession_pb2.CheckPolicyRequest(Platform=platform_message(chosen))
    request.Source.Source.CopyFrom(source)
    async with sources_of(client) as sources, WorkerPool(1, modules=work.MODULES) as workers:
        setup = Setup((policy,), PolicyEnv(filename=shown), platforms.format(chosen))
        answering = Answering(PolicyFiles(_HERE, sources), sources, verifier(), log)
        evaluated = Policy(workers, setup, answering)
        _check(await decide(evaluated, sources, request))


def _check(decision: policysession_pb2.DecisionResponse) -> None:
    if decision.action in (policy_pb2.ALLOW, policy_pb2.CONVERT):
        return
    messages = [each.message for each in decision.denyMessages if each.message]
    reasons = f": {'; '.join(messages)}" if messages else ""
    raise CrozeError(f"policy denied{reasons}")


class ShownInput(Struct, frozen=True):
    """A policy's input document, as `policy eval --print` shows it."""

    text: str
    """JSON."""
    invalid: list[str]
    """Fields that were asked for and are none."""
    unresolved: list[str]


async def input_of(
    client: Client, source: ops_pb2.SourceOp, platform: str, fields: Sequence[str]
) -> ShownInput:
    """What a policy would get to see of a source, with the fields that must be asked for."""
    chosen = await _platform(client, platform)
    answer = gateway_pb2.ResolveSourceMetaResponse(Source=source)
    async with sources_of(client) as sources:
        signature_verifier = verifier()

        async def verify(
            chain: gateway_pb2.AttestationChain, of: Platform
        ) -> dict[str, object] | None:
            signature = await signature_verifier.verify_image(chain, platforms.format(of))
            return dict(signature) if signature is not None else None

        reader = DocumentReader(_silent, verify)
        resolving = Resolving(reader, sources.resolve, _silent)
        document = await reader.document(answer, chosen)
        before: list[str] | None = None
        asked_names: set[str] = set()
        for _ in range(MOST_ROUNDS):
            unknown = [name.removeprefix("input.") for name in document.unknowns()]
            if unknown == before:
                break
            before = unknown
            names, invalid = to_ask(fields, unknown)
            asked_names.update(names)
            needs = await resolving.needs(document, answer.Source, names, chosen, None)
            if needs.request is not None:
                answer = await sources.resolve(needs.request)
                document = await reader.document(answer, chosen)
            elif not needs.changed:
                break
        else:
            raise CrozeError("maximum attempts reached for resolving source metadata")
    text = gojson.marshal_indent_as_is(document.plain()).decode()
    unknown_fields = [name for name in invalid if name not in asked_names]
    return ShownInput(text, unknown_fields, unresolved(unknown, fields))


def _silent(level: int, message: str) -> None: ...


# -- test --


async def test(dial: Dial, path: str, filename: str, only: str) -> TestReport:
    """Run the tests in a file or a directory, on the policy of a Dockerfile. The daemon is asked
    when a test names an image. Raises `CrozeError`."""
    run = TestRun(_policy_file(filename), tuple(_test_files(path)), only)
    async with AsyncExitStack() as stack, WorkerPool(1, modules=work.MODULES) as workers:
        daemon = _LazyDaemon(dial, stack)
        files = PolicyFiles(_HERE, None)
        answering = Answering(files, daemon, verifier(), _silent, daemon.platform)
        return await workers.converse(answering.answer, work.CPU_S, work.test, run)


class _LazyDaemon:
    """Dialled when it is asked something."""

    def __init__(self, dial: Dial, stack: AsyncExitStack) -> None:
        self._dial, self._stack = dial, stack
        self._client: Client | None = None
        self._sources: SourceResolver | None = None

    async def client(self) -> Client:
        if self._client is None:
            self._client = await self._stack.enter_async_context(self._dial())
        return self._client

    async def platform(self) -> str:
        return platforms.format(await _platform(await self.client(), ""))

    async def sources(self) -> SourceResolver:
        if self._sources is None:
            client = await self.client()
            self._sources = await self._stack.enter_async_context(sources_of(client))
        return self._sources

    async def resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        return await (await self.sources()).resolve(request)

    async def fetch(self, url: str, filename: str, name: str, accept: str = "") -> bytes:
        return await (await self.sources()).fetch(url, filename, name, accept)


def _policy_file(filename: str) -> PolicyFile:
    if not filename:
        raise InvalidRequest("policy filename is required")
    name = f"{filename}.rego"
    return PolicyFile(name, _read(name, f"read policy module {name}"))


def _test_files(path: str) -> list[PolicyFile]:
    path = path.rstrip("/") or "."
    if not os.path.exists(path):
        raise NotFound(f"stat {path}: stat {path}: no such file or directory")
    if not os.path.isdir(path):
        if not path.endswith(_TEST):
            raise InvalidRequest(f"test file must have _test.rego suffix: {path}")
        names = [path]
    else:
        with os.scandir(path) as entries:
            files = [entry.name for entry in entries if not entry.is_dir()]
        tests = sorted(name for name in files if name.endswith(_TEST))
        names = [posixpath.normpath(posixpath.join(path, name)) for name in tests]
    if not names:
        raise NotFound("no policy tests found")
    return [PolicyFile(name, _read(name, f"read policy test module {name}")) for name in names]


def _read(name: str, what: str) -> str:
    try:
        return Path(name).read_bytes().decode(errors="replace")
    except OSError as error:
        reason = os_reason(error)
        raise InvalidRequest(f"{what}: open {name}: {reason}") from None
