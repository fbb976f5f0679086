"""What a frontend gets and gives: refs that are made when they are first looked at."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from croze.aio.once import Once
from croze.api import ops_pb2, policy_pb2, stat_pb2
from croze.attest.capture import Capture
from croze.attest.walk import capture_of
from croze.errors import Canceled, CrozeError
from croze.gateway import files
from croze.gateway.scopes import RequestScope
from croze.gateway.source_locations import locate
from croze.ops.results import ref_of
from croze.solver.solver import Job, SolvedResult
from croze.store.contract import ImmutableRef


class RefBuilder(Protocol):
    """What a ref needs in order to be solved; a bridge is one."""

    @property
    def scope(self) -> RequestScope:
        """Which request the refs are made for, for provenance."""

    @property
    def job(self) -> Job:
        """The job that the ref is solved in."""

    @property
    def sessions(self) -> Sequence[str]:
        """Ids of the sessions that may lend files and credentials."""

    async def build(
        self, definition: ops_pb2.Definition, policies: Sequence[policy_pb2.Policy] = ()
    ) -> SolvedResult:
        """Solve now; the handle is the caller's."""


class BridgeRef:
    """The result of a definition, solved when first needed. Owned by its bridge."""

    def __init__(
        self,
        bridge: RefBuilder,
        definition: ops_pb2.Definition,
        policies: Sequence[policy_pb2.Policy] = (),
    ) -> None:
        self.id = secrets.token_hex(16)
        self.definition = definition
        self._policies = tuple(policies)
        self._bridge = bridge
        self.scope = bridge.scope
        """The request that it was made for."""
        self._solved = Once(self._solve)
        self._released = False

    async def evaluate(self) -> SolvedResult:
        """Solve now, unless it was. The handle stays the bridge's. Errors carry the lines of the
        source that the definition says they come from."""
        return await self._solved.get()

    @property
    def solved(self) -> SolvedResult | None:
        """What the definition came to, if it was evaluated."""
        return self._solved.value

    def used(self) -> Capture | None:
        """What it was made of; None if it was not evaluated. Only while the job is open."""
        solved = self._solved.value
        return capture_of(self._bridge.job.vertices([solved.edge])) if solved is not None else None

    async def ref(self) -> ImmutableRef | None:
        """The filesystem, None for an empty one; the handle stays the bridge's."""
        return ref_of((await self.evaluate()).result)

    async def read_file(self, path: str, *, offset: int = 0, length: int | None = None) -> bytes:
        ref, sessions = await self.ref(), self._bridge.sessions
        return await files.read_file(ref, path, offset=offset, length=length, sessions=sessions)

    async def read_dir(self, path: str, include: str = "") -> list[stat_pb2.Stat]:
        ref, sessions = await self.ref(), self._bridge.sessions
        return await files.read_dir(ref, path, include, sessions=sessions)

    async def stat_file(self, path: str) -> stat_pb2.Stat:
        return await files.stat_file(await self.ref(), path, sessions=self._bridge.sessions)

    async def release(self) -> None:
        self._released = True
        solved = self._solved.value
        if solved is not None:
            await solved.release()

    async def _solve(self) -> SolvedResult:
        try:
            solved = await self._bridge.build(self.definition, self._policies)
        except CrozeError as err:
            raise err.with_detail(*locate(self.definition, err)) from err.__cause__
        if self._released:
            await solved.release()
            raise Canceled()
        return solved


class Subject(Struct, frozen=True):
    """What an attestation is about. `kind` as in `gateway.InTotoSubjectKind`."""

    kind: int
    name: str
    digests: tuple[str, ...]


class BridgeAttestation(Struct, frozen=True):
    """An attestation that a frontend attached. `kind` as in `gateway.AttestationKind`; its
    predicate is the file `path` in `ref`."""

    kind: int
    predicate_type: str
    path: str = ""
    ref: BridgeRef | None = None
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    subjects: tuple[Subject, ...] = ()


class BridgeResult(Struct, frozen=True):
    """Either one `ref`, or several in `refs` by platform key. A ref that is None is an empty
    filesystem."""

    ref: BridgeRef | None = None
    refs: Mapping[str, BridgeRef | None] | None = None
    metadata: Mapping[str, bytes] = field(default_factory=dict)
    attestations: Mapping[str, Sequence[BridgeAttestation]] = field(default_factory=dict)

    def by_key(self) -> Mapping[str, BridgeRef | None]:
        """All refs; the key of a single one is empty."""
        return {"": self.ref} if self.refs is None else self.refs

    def all_refs(self) -> Iterator[BridgeRef]:
        """Every ref that is there, those of attestations too."""
        yield from (ref for ref in self.by_key().values() if ref is not None)
        for attached in self.attestations.values():
            yield from (a.ref for a in attached if a.ref is not None)
