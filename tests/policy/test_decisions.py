"""Policies on sources beside buildx: `data/decisions.json` is what its own `policy.CheckPolicy`
answered, and what it logged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from croze.api import policysession_pb2
from croze.errors import CrozeError, NotFound
from croze.policy.contract import PolicyEnv, PolicyFile, Question, ReadFile, Say, Setup
from croze.policy.decision import PolicyEvaluation

RECORDED = json.loads((Path(__file__).parent / "data" / "decisions.json").read_text())
WORLD = RECORDED["world"]
LEVELS = {3: "warning", 4: "info", 5: "debug"}
OURS_ALONE = ("debug: policy response", "debug: unknowns for", "debug: collected")
"""In these buildx prints addresses, or names in an order that changes."""
ENV = PolicyEnv({"FOO": "bar", "B": "<x>"}, {"l": "v"}, "Dockerfile", "t")


class Answering:
    """The files of the recorded world; nobody resolves or verifies anything."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def ask(self, question: Question) -> object:
        match question:
            case Say(level, message):
                self.said.append(f"{LEVELS[level]}: {message}")
                return None
            case ReadFile(path):
                if path in WORLD["files"]:
                    return WORLD["files"][path].encode()
                raise NotFound(f"statat {path}: no such file or directory")
        raise CrozeError("nobody answers that")


async def answered(policy: str, source: dict[str, object]) -> dict[str, object]:
    answering = Answering()
    files = (PolicyFile("Dockerfile.rego", policy),)
    setup = Setup(files, ENV, sources=False, verifier=False)
    request = policysession_pb2.CheckPolicyRequest()
    request.Platform.OS, request.Platform.Architecture = "linux", "amd64"
    json_format.ParseDict(source, request.Source)
    out: dict[str, object] = {}
    try:
        answer = await PolicyEvaluation(answering.ask, setup).check(request)
        if answer.WhichOneof("result") == "decision":
            out["decision"] = json_format.MessageToDict(answer.decision)
        else:
            out["next"] = json_format.MessageToDict(answer.request)
    except CrozeError as error:
        out["error"] = str(error)
    out["logs"] = [line for line in answering.said if not line.startswith(OURS_ALONE)]
    return out


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
async def test_decisions_are_buildxs(case: dict[str, object]) -> None:
    expected = dict(case["answer"])  # type: ignore[call-overload]
    policy = WORLD["policies"][case["policy"]]
    ours = await answered(policy, WORLD["sources"][case["source"]])
    if case["policy"] in ("parse", "importbad", "recursive"):
        # buildx tells the errors of a text in any order, and more than one for one mistake
        first = str(ours.pop("error")).removeprefix("1 error occurred: ").splitlines()[-1]
        assert first in str(expected.pop("error"))
    assert ours == expected


@pytest.mark.parametrize("case", RECORDED["caps"], ids=lambda case: case["name"])
async def test_caps_are_buildxs(case: dict[str, object]) -> None:
    files = (PolicyFile("Dockerfile.rego", str(case["policy"])),)
    ours: dict[str, object] = {}
    try:
        ours["caps"] = await PolicyEvaluation(Answering().ask, Setup(files)).caps() or None
    except CrozeError as error:
        ours["error"] = str(error)
    assert ours == case["answer"]
