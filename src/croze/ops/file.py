"""Changes to files without a container (`FileOp`): copy, mkdir, mkfile, symlink, rm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from croze.api import ops_pb2
from croze.errors import CrozeError, FailedAction, SolveDetail
from croze.fs.copy import links
from croze.ops import file_keys
from croze.ops.failed import keep, naming_op_in_errors
from croze.ops.file_actions import make_step
from croze.ops.file_plan import NOTHING, ActionChain, FilePlan, make_plan, owner_states
from croze.ops.file_steps import FailedStep, FileStep, apply
from croze.ops.results import RefResult, ref_of
from croze.ops.services import OpServices
from croze.solver.contract import CacheMap, OpContext, Result
from croze.store.contract import ImmutableRef

State = ImmutableRef | None


class FileOp:
    """`Op` for a file op. Each chain of actions is one call of a worker process."""

    def __init__(
        self, services: OpServices, op: ops_pb2.FileOp, input_count: int, data: bytes = b""
    ) -> None:
        """`data` is the marshalled `pb.Op`, which errors carry to the client."""
        self._services = services
        self._op = op
        self._input_count = input_count
        self._data = data

    def cache_map(self, ctx: OpContext, index: int) -> CacheMap:
        map = file_keys.cache_map(self._op, self._input_count, self._services.contents)
        return naming_op_in_errors(map, self._data)

    async def execute(self, ctx: OpContext, inputs: Sequence[Result]) -> Sequence[Result]:
        plan = make_plan(self._op.actions, len(inputs))
        try:
            async with self._services.turn():
                return await self._run(plan, ctx, inputs)
        except CrozeError as error:
            if not any(isinstance(detail, SolveDetail) for detail in error.details):
                detail = SolveDetail(self._data, dict(ctx.vertex.description))
                raise error.with_detail(detail) from error.__cause__
            raise

    async def _run(
        self, plan: FilePlan, ctx: OpContext, inputs: Sequence[Result]
    ) -> list[RefResult]:
        states: dict[int, State] = dict(enumerate(ref_of(result) for result in inputs))
        refs: dict[ActionChain, ImmutableRef] = {}
        try:
            for chain in plan.chains:
                refs[chain], failed = await self._run_chain(chain, ctx, states)
                states[chain.result] = refs[chain]
                if failed is not None:
                    raise failed.error.with_detail(self._detail(ctx, inputs, refs, failed))
            return [RefResult(_clone(states[index])) for index in plan.outputs]
        finally:
            for ref in refs.values():
                await ref.release()

    def _detail(
        self,
        ctx: OpContext,
        inputs: Sequence[Result],
        refs: Mapping[ActionChain, ImmutableRef],
        failed: FailedStep,
    ) -> SolveDetail:
        """What to look at after a failure of the chain that was made last: the inputs, and for
        each action what it made."""
        shown: list[str] = [""] * len(self._op.actions)
        for chain, ref in refs.items():
            keep(ctx, [RefResult(ref)])
            for number in chain.actions:
                shown[number] = ref.id
        keep(ctx, inputs)
        return SolveDetail(
            self._data,
            dict(ctx.vertex.description),
            tuple(result.id for result in inputs),
            tuple(shown),
            FailedAction([*refs][-1].actions[failed.index]),
        )

    async def _run_chain(
        self, chain: ActionChain, ctx: OpContext, states: dict[int, State]
    ) -> tuple[ImmutableRef, FailedStep | None]:
        """What the chain made, as far as it came."""
        base = None if chain.base == NOTHING else states[chain.base]
        mutable = await self._services.refs.new(
            base, description=ctx.vertex.name, sessions=ctx.sessions()
        )
        try:
            for index in self._read_by(chain):
                if (state := states[index]) is not None:
                    await state.materialize(ctx.sessions())
            async with self._services.mounting.slot(), AsyncExitStack() as stack:
                target = await stack.enter_async_context(mutable.mounted(readonly=False))
                roots = await self._mount_all(stack, chain, ctx, states, str(target))
                steps = [self._step(self._op.actions[i], roots, states) for i in chain.actions]
                failed = await self._services.workers.run(apply, str(target), steps)
            return await mutable.commit(), failed
        except BaseException:
            await mutable.release()
            raise

    def _step(
        self, action: ops_pb2.FileAction, roots: dict[int, str], states: dict[int, State]
    ) -> FileStep:
        source = states.get(action.secondaryInput)
        notes = str(source.side_file(links.SIDE_FILE)) if source is not None else None
        return make_step(action, roots.__getitem__, notes)

    def _read_by(self, chain: ActionChain) -> list[int]:
        """The states that the chain's actions read, but for what it makes itself."""
        read: dict[int, None] = {}
        for number in chain.actions:
            action = self._op.actions[number]
            named = set(owner_states(action))
            if number == chain.actions[0]:
                named.discard(chain.base)  # what it works on is not changed yet
            read.update(dict.fromkeys((action.secondaryInput, *sorted(named))))
        own = {self._input_count + number for number in chain.actions}
        return [index for index in read if index != NOTHING and index not in own]

    async def _mount_all(
        self,
        stack: AsyncExitStack,
        chain: ActionChain,
        ctx: OpContext,
        states: dict[int, State],
        target: str,
    ) -> dict[int, str]:
        """Where each state can be seen that the chain's actions read."""
        own = {self._input_count + number for number in chain.actions}
        roots = dict.fromkeys(own, target) | {NOTHING: str(self._nothing())}
        for index in self._read_by(chain):
            roots[index] = await self._mount(stack, states[index], ctx)
        roots.setdefault(chain.base, target)
        return roots

    async def _mount(self, stack: AsyncExitStack, state: State, ctx: OpContext) -> str:
        if state is None:
            return str(self._nothing())
        mounted = state.mounted(readonly=True, sessions=ctx.sessions())
        return str(await stack.enter_async_context(mounted))

    def _nothing(self) -> Path:
        """An empty directory."""
        path = self._services.scratch_dir / "empty"
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)  # it is copied as any other
        return path


def _clone(state: State) -> State:
    return None if state is None else state.clone()
