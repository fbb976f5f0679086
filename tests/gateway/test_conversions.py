"""What is remembered of a conversion is what the frontend would say: for the golden Dockerfiles, as
of another session; and it is not used when an answer differs."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from croze.api import ops_pb2
from croze.dockerfile import asking
from croze.dockerfile.asking import Ask, Facts, Forwarded, Warned, answering
from croze.dockerfile.resolver import FrontendResult, Syntax
from croze.errors import CrozeError
from croze.gateway.caps import LLB_ENABLED
from croze.gateway.conversions import MOST_BYTES, Conversions
from croze.image import platform as platforms
from croze.llb.marshal import op_blobs
from tests.golden.dockerfile_cases import _resolver
from tests.golden.stub_resolver import StubResolver

GOLDEN = Path(__file__).resolve().parent.parent / "golden/data/dockerfile"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/Dockerfile"))


@pytest.fixture(autouse=True)
def same_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of groups of steps, which are made up."""
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))


@dataclass
class World:
    """A resolver, what it was asked, and how often the frontend ran."""

    resolver: StubResolver
    opts: Mapping[str, str]
    conversions: Conversions
    runs: int = 0

    expected: list[ops_pb2.SourceOp] = field(default_factory=list)

    async def convert(
        self, session: str, conversions: Conversions | None = None
    ) -> tuple[Any, list[object]]:
        """The result, or the message of an error, with all that was asked for it."""
        facts = Facts(await self.resolver.inputs(), [PLATFORM], LLB_ENABLED, session)
        asked: list[object] = []
        answer = answering(self.resolver, own)

        async def ask(question: object) -> object:
            asked.append(question)
            return await answer(question)

        async def run(ask: Ask) -> FrontendResult | None:
            self.runs += 1
            return await asking.build(ask, self.opts, facts)

        chosen = Conversions() if conversions is None else conversions
        try:
            result = await chosen.converted(self.opts, facts, ask, run, self.expected.extend)
            return result, asked
        except CrozeError as error:
            return str(error), asked


PLATFORM = platforms.parse("linux/amd64")


async def own(syntax: Syntax) -> Forwarded:
    return Forwarded(here=True)


def world(dockerfile: bytes, opts: dict[str, Any]) -> World:
    return World(_resolver(dockerfile, opts), opts.get("opts", {}), Conversions())


@pytest.mark.parametrize("name", CASES)
async def test_it_is_what_the_frontend_would_say(name: str) -> None:
    opts = json.loads((GOLDEN / name / "opts.json").read_bytes())
    made = world((GOLDEN / name / "Dockerfile").read_bytes(), opts)
    first, _ = await made.convert("session-of-one", made.conversions)
    wanted = await made.convert("session-of-another")
    made.runs = 0
    assert await made.convert("session-of-another", made.conversions) == wanted
    assert made.runs == isinstance(first, str)  # errors are not remembered


SIMPLE = b"FROM alpine AS a\nCOPY x /\nFROM busybox\nCOPY --from=a /x /\nrun true\n"


async def simple() -> World:
    made = world(SIMPLE, {})
    await made.convert("one", made.conversions)
    assert made.runs == 1
    return made


def blobs(result: FrontendResult) -> list[bytes]:
    return op_blobs(result.definitions[""])


async def test_another_dockerfile_is_read() -> None:
    made = await simple()
    made.resolver = replace(made.resolver, dockerfile=SIMPLE + b"RUN false\n")
    found, asked = await made.convert("two", made.conversions)
    assert made.runs == 2
    assert (found, asked) == await made.convert("two")
    # And it is that one that is remembered.
    assert blobs((await made.convert("two", made.conversions))[0]) == blobs(found)


async def test_an_image_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await simple()
    monkeypatch.setattr("tests.golden.stub_resolver.CREATED", "2021-01-02T03:04:05Z")
    found, asked = await made.convert("one", made.conversions)
    assert made.runs == 2
    assert found == (await made.convert("one"))[0]
    # Nothing was asked twice, and nobody warned twice.
    assert len(asked) == len((await made.convert("one"))[1])
    assert sum(isinstance(each, Warned) for each in asked) == 1


@pytest.mark.parametrize("opts", [{"target": "a"}, {"build-arg:X": "1"}, {"no-cache": ""}])
async def test_other_options_are_another_request(opts: dict[str, str]) -> None:
    made = await simple()
    made.opts = opts
    await made.convert("one", made.conversions)
    assert made.runs == 2


async def test_what_fails_is_asked_again() -> None:
    made = world(b"FROM does-not-exist\n", {})
    for runs, session in enumerate(("one", "two"), 1):
        found, _ = await made.convert(session, made.conversions)
        assert "not found" in found
        assert made.runs == runs


async def test_no_more_is_kept_than_there_is_room_for() -> None:
    made = world(b"", {})
    size = MOST_BYTES // 4
    for number in itertools.chain(range(6), range(6)):
        text = b"FROM scratch\n# " + bytes([97 + number]) * size
        made.resolver = replace(made.resolver, dockerfile=text)
        made.opts = {"build-arg:N": str(number)}
        await made.convert("one", made.conversions)
    assert made.runs == 12
    assert made.conversions._size_bytes <= MOST_BYTES


async def test_a_large_definition_is_another_session_s_too() -> None:
    made = world(b"FROM scratch\n" + b"COPY x /y\n" * 3_000, {})
    await made.convert("one", made.conversions)
    found, _ = await made.convert("two", made.conversions)
    assert made.runs == 1
    assert found == (await made.convert("two"))[0]


async def test_what_ends_a_build_ends_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    made = await simple()

    async def broken(*_: object, **__: object) -> bytes:
        raise ConnectionResetError

    monkeypatch.setattr(StubResolver, "read_file", broken)
    with pytest.raises(ConnectionResetError):
        await made.convert("one", made.conversions)
    assert made.runs == 1


async def test_what_it_led_to_the_last_time_is_expected_at_once() -> None:
    """All that the client lends, in the order in which it was wanted."""
    made = await simple()
    assert made.expected == []
    made.resolver = replace(made.resolver, dockerfile=SIMPLE + b"RUN false\n")
    await made.convert("two", made.conversions)
    assert made.runs == 2
    told = [(s.identifier, s.attrs["local.sharedkeyhint"]) for s in made.expected]
    hints = ["context-.dockerignore", "context"]
    assert told[1:] == [("local://context", hint) for hint in hints]
    assert told[0][0] == "local://dockerfile"
    assert {s.attrs["local.session"] for s in made.expected} == {"two"}
