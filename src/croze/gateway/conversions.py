"""Remembers conversions of Dockerfiles, with what each asked and was answered.

What the frontend makes of a request is a function of the request and of the answers to what it
asks: files, images' configs, facts about sources. So a conversion is kept with its questions and
answers. When the same is wanted again, the questions are asked again, all of them, in an order that
the frontend could have had; if the answers are the same, so is the result, and no worker is needed
for it. If one differs, the frontend runs, and what has been asked by then is not asked twice.

A request of another session asks for that session's files: its id takes the old one's place in the
questions and in the result (`llb.sessions`).
"""

from __future__ import annotations

import asyncio
import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import copy
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from croze.aio.parallel import first_error
from croze.aio.threads import in_thread
from croze.api import ops_pb2
from croze.dockerfile.asking import Ask, Facts, FileAsked, MetaAsked, NamesAsked, Warned
from croze.dockerfile.resolver import FrontendResult, ImageQuestion
from croze.errors import CrozeError
from croze.llb.marshal import op_blobs
from croze.llb.sessions import SessionChange
from croze.status import VertexWarning

MOST: Final = 256
MOST_BYTES: Final = 32 << 20
LARGE_BYTES: Final = 256 << 10
"""What would hold up the event loop."""
_LOCAL: Final = b"local://"

Run = Callable[[Ask], Awaitable[FrontendResult | None]]
"""Runs the frontend. None if another frontend has answered."""


Expect = Callable[[Sequence[ops_pb2.SourceOp]], None]
"""Is told of sources of the client's that are likely to be wanted soon."""


def _nobody(sources: Sequence[ops_pb2.SourceOp]) -> None:
    """Nothing is begun early."""


class _Outcome(Struct, frozen=True):
    """What came of a question."""

    value: object = None
    error: CrozeError | None = None

    def same(self, other: _Outcome) -> bool:
        if self.error is None or other.error is None:
            return self.error is other.error and self.value == other.value
        return _told(self.error) == _told(other.error)

    def get(self) -> object:
        if self.error is not None:
            raise self.error
        return self.value


def _told(error: CrozeError) -> tuple[object, ...]:
    return type(error), error.args, error.details


class _Conversation(Struct):
    """Questions in the order in which they were asked, and what came of them. `events` are their
    numbers, each first when it was asked and then when it was answered."""

    questions: list[object] = field(default_factory=list)
    outcomes: dict[int, _Outcome] = field(default_factory=dict)
    events: list[int] = field(default_factory=list)

    def recorded(self, ask: Ask) -> Ask:
        """An `Ask` that notes each question and its outcome here."""

        async def asking(question: object) -> object:
            number = len(self.questions)
            self.questions.append(question)
            self.events.append(number)
            outcome = self.outcomes[number] = await _outcome(ask, question)
            self.events.append(number)
            return outcome.get()

        return asking

    def let_go(self) -> None:
        """Drop the tracebacks of errors, which hold what was on the stack."""
        for number, outcome in self.outcomes.items():
            if outcome.error is not None:
                self.outcomes[number] = _Outcome(error=copy(outcome.error))


async def _outcome(ask: Ask, question: object) -> _Outcome:
    try:
        return _Outcome(await ask(question))
    except CrozeError as error:
        return _Outcome(error=error)


class _Remembered(Struct, frozen=True):
    session: str
    conversation: _Conversation
    result: FrontendResult
    size_bytes: int
    lent: Sequence[ops_pb2.SourceOp]
    """See `_lent`."""


class Conversions:
    """What Dockerfiles were converted to lately, by any build of the daemon: an equal request whose
    questions have equal answers gets the same result."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, _Remembered] = OrderedDict()
        self._size_bytes = 0

    async def converted(
        self,
        opts: Mapping[str, str],
        facts: Facts,
        ask: Ask,
        run: Run,
        expect: Expect = _nobody,
    ) -> FrontendResult | None:
        """The result of an equal conversion if one is remembered and still holds, else that of
        `run`. While that is found out, `expect` knows what it is likely to lead to."""
        key = _key(opts, facts)
        remembered = self._known.get(key)
        if remembered is not None:
            self._known.move_to_end(key)
            change = SessionChange(remembered.session, facts.session)
            expect([change.source(each) for each in remembered.lent])
            questions = [_question(each, change) for each in remembered.conversation.questions]
            answered = await _asked_again(remembered.conversation, questions, ask)
            if all(remembered.conversation.outcomes[n].same(answered[n]) for n in answered):
                if remembered.size_bytes < LARGE_BYTES:
                    return _result(remembered.result, change)
                return await in_thread(_result, remembered.result, change)
            ask = _not_twice(questions, answered, ask)
        conversation = _Conversation()
        result = await run(conversation.recorded(ask))
        if result is not None:
            self._remember(key, facts.session, conversation, result)
        return result

    def _remember(
        self, key: bytes, session: str, conversation: _Conversation, result: FrontendResult
    ) -> None:
        self._forget(key)
        conversation.let_go()
        size_bytes, lent = _size_bytes(conversation, result), _lent(conversation, result)
        remembered = _Remembered(session, conversation, result, size_bytes, lent)
        self._known[key] = remembered
        self._size_bytes += remembered.size_bytes
        while len(self._known) > MOST or self._size_bytes > MOST_BYTES:
            self._forget(next(iter(self._known)))

    def _forget(self, key: bytes) -> None:
        remembered = self._known.pop(key, None)
        if remembered is not None:
            self._size_bytes -= remembered.size_bytes


def _key(opts: Mapping[str, str], facts: Facts) -> bytes:
    """A digest of all that the frontend knows without asking, but for the session."""
    inputs = [
        (name, facts.inputs[name].SerializeToString(deterministic=True))
        for name in sorted(facts.inputs)
    ]
    request = (sorted(opts.items()), inputs, list(facts.platforms), sorted(facts.caps))
    return hashlib.sha256(pickle.dumps((request, bool(facts.session)))).digest()


async def _asked_again(
    conversation: _Conversation, questions: Sequence[object], ask: Ask
) -> dict[int, _Outcome]:
    """The outcomes, up to one that is not what it was, and those of what was asked beside it."""
    tasks: dict[int, asyncio.Task[_Outcome]] = {}
    async with first_error(), asyncio.TaskGroup() as group:
        for number in conversation.events:
            if number not in conversation.outcomes:
                continue  # nobody waited for it in the end
            if number not in tasks:
                tasks[number] = group.create_task(_outcome(ask, questions[number]))
            elif not conversation.outcomes[number].same(await tasks[number]):
                break
    return {number: task.result() for number, task in tasks.items()}


def _not_twice(questions: Sequence[object], answered: Mapping[int, _Outcome], ask: Ask) -> Ask:
    """Answers each of the questions that were asked already once."""
    outcomes = [(questions[number], outcome) for number, outcome in answered.items()]

    async def asking(question: object) -> object:
        for at, (before, outcome) in enumerate(outcomes):
            if before == question:
                del outcomes[at]
                return outcome.get()
        return await ask(question)

    return asking


def _question(question: object, change: SessionChange) -> object:
    """A question as it is asked of the other session."""
    if change.old == change.new:
        return question
    match question:
        case FileAsked() | NamesAsked():
            return replace(question, definition=change.definition(question.definition)[0])
        case MetaAsked():
            return replace(question, source=change.source(question.source))
        case ImageQuestion(oci_store=store) if store is not None:
            session = change.new if store.session == change.old else store.session
            return replace(question, oci_store=replace(store, session=session))
        case Warned(warnings):
            return Warned(_moved(warnings, change))
    return question


def _moved(warnings: Sequence[VertexWarning], change: SessionChange) -> tuple[VertexWarning, ...]:
    """The warnings of one file, which they share, as of the other session."""
    source = warnings[0].source if warnings else None
    if source is None or not source.definition:
        return tuple(warnings)
    message, digests = change.definition(ops_pb2.Definition.FromString(source.definition))
    moved = replace(source, definition=message.SerializeToString(deterministic=True))
    return tuple(
        replace(
            each,
            vertex=digests.get(each.vertex, each.vertex),
            source=None if each.source is None else moved,
        )
        for each in warnings
    )


def _result(result: FrontendResult, change: SessionChange) -> FrontendResult:
    if change.old == change.new:
        return result
    scans = {
        key: replace(scan, extras={n: change.definition(d)[0] for n, d in scan.extras.items()})
        for key, scan in result.scans.items()
    }
    definitions = {key: change.definition(d)[0] for key, d in result.definitions.items()}
    return replace(result, definitions=definitions, scans=scans)


def _lent(conversation: _Conversation, result: FrontendResult) -> list[ops_pb2.SourceOp]:
    """The client's directories that were wanted, in that order."""
    files_asked = [
        op_blobs(q.definition) for q in conversation.questions if isinstance(q, FileAsked)
    ]
    definitions = [*files_asked, *map(op_blobs, result.definitions.values())]
    lent = dict.fromkeys(blob for blobs in definitions for blob in blobs if _LOCAL in blob)
    sources = [ops_pb2.Op.FromString(blob).source for blob in lent]
    return [source for source in sources if source.identifier.startswith(_LOCAL.decode())]


def _size_bytes(conversation: _Conversation, result: FrontendResult) -> int:
    answers = (outcome.value for outcome in conversation.outcomes.values())
    size = sum(len(answer) for answer in answers if isinstance(answer, bytes))
    size += sum(definition.ByteSize() for definition in result.definitions.values())
    size += sum(d.ByteSize() for scan in result.scans.values() for d in scan.extras.values())
    return size + sum(len(value) for value in result.metadata.values()) + 1024
