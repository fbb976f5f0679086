"""Policies in worker processes: limits, and questions that are answered here."""

from __future__ import annotations

import json

import pytest

from croze.api import gateway_pb2, policy_pb2, policysession_pb2
from croze.errors import CrozeError, NotFound, Unavailable
from croze.policy import snappy, work
from croze.policy.contract import WARNING, PolicyFile, Setup, VerifyArtifact
from croze.policy.evaluator import Answering, Policy, check_all
from croze.workers.pool import WorkerPool


class Files:
    async def read(self, path: str, most_bytes: int) -> bytes:
        if path != "bundle.json":
            raise NotFound("no such file")
        return b"{}"


class Verifier:
    """Knows one digest."""

    async def verify_image(
        self, chain: gateway_pb2.AttestationChain, platform: str
    ) -> dict[str, object] | None:
        return None

    async def verify_artifact(self, digest: str, bundle: bytes) -> dict[str, object]:
        if bundle != b"{}" or not digest.endswith("1"):
            raise CrozeError("not signed")
        return {"kind": "self-signed", "signer": {"issuer": "me"}}


class Unready(Verifier):
    """Knows nobody whom to trust."""

    async def verify_artifact(self, digest: str, bundle: bytes) -> dict[str, object]:
        raise Unavailable("getting trusted root: no network")


class Sources:
    """GitHub, as a daemon fetches from it."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers = answers

    async def resolve(
        self, request: gateway_pb2.ResolveSourceMetaRequest
    ) -> gateway_pb2.ResolveSourceMetaResponse:
        raise CrozeError("nobody knows")

    async def fetch(self, url: str, filename: str, name: str, accept: str = "") -> bytes:
        if url not in self.answers:
            raise NotFound(url)
        return self.answers[url]


def asked(digest: str) -> policysession_pb2.CheckPolicyRequest:
    request = policysession_pb2.CheckPolicyRequest()
    url = "https://github.com/a/b/releases/download/v1/f"
    request.Source.Source.identifier = url
    request.Source.HTTP.Checksum = digest
    return request


DIGEST = "sha256:" + "0" * 63


def policy(workers: WorkerPool, text: str, sources: Sources | None = None) -> Policy:
    setup = Setup((PolicyFile("p.rego", f"package docker\n{text}"),))
    answering = Answering(Files(), sources, Verifier(), lambda level, message: None)
    return Policy(workers, setup, answering)


async def action(made: Policy, digest: str) -> int:
    return (await made.check(asked(digest))).decision.action


async def test_that_nothing_can_be_verified_is_told() -> None:
    said: list[tuple[int, str]] = []
    answering = Answering(Files(), None, Unready(), lambda *each: said.append(each))
    with pytest.raises(Unavailable):
        await answering.answer(VerifyArtifact(DIGEST, b"{}"))
    assert said == [
        (WARNING, "signatures can't be verified: getting trusted root: no network"),
    ]


async def test_what_is_lent_is_asked_for() -> None:
    inline = json.dumps({"attestations": [{"bundle": {}}, {"bundle_url": "https://x/b.json.sn?q"}]})
    query = "?predicate_type=https%3A%2F%2Fslsa.dev%2Fprovenance%2Fv1"
    github = f"https://api.github.com/repos/a/b/attestations/{DIGEST}1{query}"
    sources = Sources({github: inline.encode(), "https://x/b.json.sn?q": b"\x02\x04{}"})
    async with WorkerPool(1, modules=work.MODULES) as workers:
        rule = 'artifact_attestation(input.http, "bundle.json").signer.issuer == "me"'
        signed = policy(workers, f'decision := {{"allow": true}} if {rule}')
        assert await action(signed, f"{DIGEST}1") == policy_pb2.ALLOW
        with pytest.raises(CrozeError, match="policy returned zero result"):
            await action(signed, f"{DIGEST}2")
        rule = 'not artifact_attestation(input.http, "nope.json")'
        absent = policy(workers, f'decision := {{"allow": true}} if {rule}')
        assert await action(absent, f"{DIGEST}1") == policy_pb2.ALLOW
        rule = 'github_release_attestation(input.http).kind == "self-signed"'
        release = policy(workers, f'decision := {{"allow": true}} if {rule}', sources)
        assert await action(release, f"{DIGEST}1") == policy_pb2.ALLOW


@pytest.mark.parametrize("logs", [True, False])
async def test_what_is_printed_is_said_if_that_is_wanted(logs: bool) -> None:
    printed: list[str] = []
    answering = Answering(
        Files(), None, Verifier(), lambda _level, message: printed.append(message)
    )
    text = 'package docker\ndecision := {"allow": true} if print("it", "is")'
    setup = Setup((PolicyFile("p.rego", text),), logs=logs)
    async with WorkerPool(1, modules=work.MODULES) as workers:
        assert await action(Policy(workers, setup, answering), DIGEST) == policy_pb2.ALLOW
    assert sum(message.endswith(": it is") for message in printed) == logs


async def test_all_must_allow() -> None:
    async with WorkerPool(1, modules=work.MODULES) as workers:
        yes = policy(workers, 'decision := {"allow": true}')
        no = policy(workers, 'decision := {"allow": false, "deny_msg": ["x"]}')
        allowed = await check_all([yes, yes], asked(DIGEST))
        assert allowed.decision.action == policy_pb2.ALLOW
        denied = await check_all([yes, no, yes], asked(DIGEST))
        assert denied.decision.action == policy_pb2.DENY
        assert (await check_all([], asked(DIGEST))).decision.action == policy_pb2.ALLOW


async def test_who_computes_for_ever_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "CPU_S", 1)
    loop = "\n".join(
        f"x{i} contains y if {{ some a in x{i - 1}; some b in x{i - 1}; y := a * b }}"
        for i in range(1, 8)
    )
    text = f'x0 := {{1, 2, 3, 5, 7, 11}}\n{loop}\ndecision := {{"allow": true}} if count(x7) > 0'
    async with WorkerPool(1, modules=work.MODULES) as workers:
        with pytest.raises(CrozeError, match=r"policy p\.rego computes for more than 1 s"):
            await action(policy(workers, text), DIGEST)
        assert await action(policy(workers, 'decision := {"allow": true}'), DIGEST) == (
            policy_pb2.ALLOW
        )


@pytest.mark.parametrize(
    ("packed", "plain"),
    [(b"\x02\x04{}", b"{}"), (b"\x0a\x04ab\x1e\x02\x00", b"ab" * 5), (b"\x00", b"")],
)
def test_snappy(packed: bytes, plain: bytes) -> None:
    assert snappy.decompress(packed, 100) == plain


@pytest.mark.parametrize("packed", [b"", b"\xff" * 6, b"\x02\x04{", b"\x04\x05\x00", b"\x7f\x00a"])
def test_what_is_no_snappy(packed: bytes) -> None:
    with pytest.raises(ValueError, match="snappy"):
        snappy.decompress(packed, 100)
