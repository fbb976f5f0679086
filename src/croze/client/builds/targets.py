"""Many targets built together, each on one node or on several: all at once, but for those that
others are built on.

Source of the order, the prefixes and the texts: buildx `build/build.go`, `util/progress`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from msgspec import Struct, field

from croze.aio.parallel import all_of
from croze.api import control_pb2, gateway_pb2
from croze.client.builds import links, multinode
from croze.client.builds.build import clearer, history_ref
from croze.client.builds.clocks import by_our_clock
from croze.client.builds.links import LinkStages
from croze.client.builds.metadata import recorded_provenance
from croze.client.builds.multinode import BuildNode, Merge, NodePart
from croze.client.builds.remote_dockerfile import with_remote_dockerfile
from croze.client.builds.result import BuildResult
from croze.client.builds.shared_directories import share_directories
from croze.client.plan import SolvePlan
from croze.client.planning.make import planned
from croze.client.solving.auth_log import AuthLog
from croze.errors import CrozeError, InvalidRequest
from croze.rpc.held import HeldBuild, Work

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.progress.display import Display

Show = Callable[[control_pb2.StatusResponse], None]


class TargetResult(Struct, frozen=True):
    """What came of one target."""

    result: BuildResult
    provenance: dict[str, object] = field(default_factory=dict)

    @property
    def metadata(self) -> dict[str, object]:
        """What the target has in a metadata file."""
        return dict(sorted((self.result.metadata | self.provenance).items()))


class _Piece(Struct):
    """One target's build on one node."""

    target: str
    node: BuildNode
    plan: SolvePlan
    bases: dict[str, list[str]]
    """Attributes by the target that they name."""

    def on(self, target: str) -> tuple[int, str]:
        """The key of another target's build on the same daemon."""
        return id(self.node.client), target

    @property
    def key(self) -> tuple[int, str]:
        return self.on(self.target)


async def build_targets(
    builds: Mapping[str, Sequence[NodePart]],
    display: Display,
    *,
    merge: Merge | None = None,
    provenance: bool = False,
    bake: bool = True,
) -> dict[str, TargetResult]:
    """Build all parts of all; the first failure cancels the rest, and is raised.

    The display, which is closed at the end, has the steps of all targets under their names. Images
    pushed by several nodes are put under their names by `merge`. `provenance`: ask for what a
    metadata file tells of it.
    """
    from croze.progress.display import running

    pieces: dict[str, list[_Piece]] = {}
    try:
        async with running(display):
            for name, its_parts in builds.items():
                its_pieces = pieces[name] = list[_Piece]()
                try:
                    for part in its_parts:
                        its_pieces.append(await _planned(name, part, display))
                except CrozeError as error:
                    raise _named(error, name, builds) from None
            return await _Targets(pieces, display, provenance, merge).build()
    except CrozeError as error:
        raise clearer(error, bake=bake) from None
    finally:
        for piece in (piece for its in pieces.values() for piece in its):
            piece.plan.close()
        for part in (part for its_parts in builds.values() for part in its_parts):
            part.close()


async def _planned(target: str, part: NodePart, display: Display) -> _Piece:
    node = part.node
    options = await with_remote_dockerfile(node.client, part.options, display.update)
    plan = await planned(options, node.builder)
    return _Piece(target, node, plan, links.links(plan))


def _named(error: CrozeError, name: str, targets: Mapping[str, object]) -> CrozeError:
    return error.wrap(f"target {name}") if len(targets) > 1 else error


class _Targets:
    def __init__(
        self,
        pieces: Mapping[str, Sequence[_Piece]],
        display: Display,
        provenance: bool,
        merge: Merge | None,
    ) -> None:
        self._pieces = pieces
        self._display = display
        self._provenance = provenance
        self._merge = merge
        self._all = [piece for its in pieces.values() for piece in its]
        self._stages = {piece.key: LinkStages() for piece in self._all}
        self._logs = _Logs()
        self._users: dict[tuple[int, str], list[_Piece]] = {}
        log = AuthLog(display.update)
        for piece in self._all:
            piece.plan.lending_log = log
            for base in piece.bases:
                self._users.setdefault(piece.on(base), []).append(piece)

    async def build(self) -> dict[str, TargetResult]:
        self._check_bases()
        names = sorted(self._pieces)
        async with AsyncExitStack() as sessions:
            for client, plans in self._by_client():
                for id, lent in share_directories(plans).items():
                    await sessions.enter_async_context(client.lent(id, lent))
            results = await all_of(self._build(name) for name in names)
        return dict(zip(names, results, strict=True))

    def _by_client(self) -> list[tuple[Client, list[SolvePlan]]]:
        plans: dict[int, tuple[Client, list[SolvePlan]]] = {}
        for piece in self._all:
            client = piece.node.client
            plans.setdefault(id(client), (client, []))[1].append(piece.plan)
        return list(plans.values())

    def _check_bases(self) -> None:
        for piece in self._all:
            for base, attrs in piece.bases.items():
                context = attrs[0].removeprefix("context:")
                if base not in self._pieces:
                    raise InvalidRequest(f"failed to find target {base} for context {context}")
                if piece.on(base) not in self._stages:
                    raise InvalidRequest(
                        f"failed to use {base} as context {context} for {piece.target} because "
                        "targets build with different drivers"
                    )

    async def _build(self, name: str) -> TargetResult:
        pieces = self._pieces[name]
        try:
            if len(pieces) == 1:
                return await self._solve(pieces[0])
            names = multinode.push_by_digest([piece.plan for piece in pieces])
            results = await all_of(self._solve(piece) for piece in pieces)
            return await self._together(names, pieces[0].plan, results)
        except CrozeError as error:
            raise _named(error, name, self._pieces) from None

    async def _solve(self, piece: _Piece) -> TargetResult:
        show = self._shows(piece.target)
        for base, attrs in piece.bases.items():
            answer = await self._stages[piece.on(base)].answer()
            links.link(piece.plan, base, attrs, answer, piece.node.number)
        is_linked = bool(piece.bases) or piece.key in self._users
        work = self._work(piece) if is_linked else None
        client, plan = piece.node.client, piece.plan
        try:
            solved = await client.solve(plan, by_our_clock(show), work=work)
        except CrozeError as error:
            known_as = history_ref(piece.node.builder, plan, plan.ref)
            raise error.of_record(known_as) from None
        metadata: dict[str, object] = {}
        if self._provenance and not plan.internal:
            metadata = await recorded_provenance(client, solved.ref, show)
        self._logs.release(piece.target)
        known_as = history_ref(piece.node.builder, plan, solved.ref)
        result = BuildResult(solved.ref, solved.exporter_response, history_ref=known_as)
        return TargetResult(result, metadata)

    async def _together(
        self, names: tuple[str, ...], plan: SolvePlan, results: Sequence[TargetResult]
    ) -> TargetResult:
        """buildx's answer for a build over several nodes: what was pushed, or the first node's."""
        from croze.progress.own import own_step

        if not names or self._merge is None:
            return results[0]
        with own_step(f"merging manifest list {','.join(names)}", self._display.update):
            responses = [each.result.response for each in results]
            image = multinode.together(names, plan, responses)
            if image is None:
                return results[0]
            digest = await self._merge(image)
        return TargetResult(BuildResult(results[0].result.ref, {multinode.DIGEST: digest}))

    def _work(self, piece: _Piece) -> Work:
        """A target that others are built on, or that is built on others: each has its own session
        at work on what they share, so a base is done before its users begin, and stays until they
        are done."""
        own = self._stages[piece.key]
        bases = [self._stages[piece.on(each)] for each in piece.bases]
        users = [self._stages[each.key] for each in self._users.get(piece.key, ())]

        async def work(bridge: HeldBuild) -> gateway_pb2.Result:
            result = await bridge.ask_frontend()
            own.give(result)
            for user in users:
                await user.answer()
            for base in bases:
                await base.evaluated.wait()
            await bridge.evaluate(result)
            own.evaluated.set()
            for user in users:
                await user.completed.wait()
            own.completed.set()
            return result

        return work

    def _shows(self, name: str) -> Show:
        if len(self._pieces) == 1:
            return self._display.update

        def show(status: control_pb2.StatusResponse) -> None:
            named = control_pb2.StatusResponse()
            named.CopyFrom(status)
            self._logs.keep_own(name, named)
            for vertex in named.vertexes:
                vertex.name = prefixed(name, vertex.name)
                if vertex.HasField("progressGroup"):
                    group = vertex.progressGroup
                    group.name = prefixed(name, group.name)
            self._display.update(named)

        return show


class _Logs:
    """Steps that targets share tell all of them what they log: it is shown once."""

    def __init__(self) -> None:
        self._teller: dict[str, str] = {}

    def keep_own(self, target: str, status: control_pb2.StatusResponse) -> None:
        """Take out logs of steps that another target tells of."""
        own = [log for log in status.logs if self._teller.setdefault(log.vertex, target) == target]
        if len(own) < len(status.logs):
            del status.logs[:]
            status.logs.extend(own)

    def release(self, target: str) -> None:
        """The target has nothing more to tell."""
        self._teller = {vertex: who for vertex, who in self._teller.items() if who != target}


def prefixed(target: str, name: str) -> str:
    """A step's name with its target's."""
    return f"[{target} {name[1:]}" if name.startswith("[") else f"[{target}] {name}"
