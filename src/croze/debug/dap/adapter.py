"""What an editor asks of a build.

Source: buildx `dap/adapter.go` and `dap/eval.go`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import posixpath
import shlex
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from msgspec import Struct

from croze.aio.parallel import all_of, task_group
from croze.api import gateway_pb2
from croze.debug.dap.breakpoints import Breakpoints
from croze.debug.dap.protocol import (
    DapConnection,
    Message,
    RequestRefused,
    number,
    part,
    parts,
    text,
)
from croze.debug.dap.shell import TerminalShell, attach_words
from croze.debug.dap.thread import StepAction, Thread
from croze.debug.dap.variables import REFERENCE_BITS
from croze.debug.failure import BuildOutcome
from croze.errors import Canceled, CrozeError, InvalidRequest
from croze.gotypes.quote import quote
from croze.rpc.held import HeldBuild

EXPRESSION_CHARS = 64 << 10
"""Words are taken apart in a time that grows with the square of their length."""


class Launch(Struct, frozen=True):
    """The editor's words on what to build; what it leaves out, the command line says."""

    dockerfile: str = ""
    context: str = ""
    target: str = ""


class Adapter:
    """One session with one editor; `serving` makes it."""

    def __init__(self, connection: DapConnection, group: asyncio.TaskGroup) -> None:
        self.breakpoints = Breakpoints()
        self.frame_ids: Iterator[int] = itertools.count(1)
        self.stop_on_entry = False
        self.dockerfile = ("", "")
        """The Dockerfile's name in the build, and where it is here."""
        self._connection = connection
        self._group = group
        self._shell = TerminalShell()
        self._launched: asyncio.Future[Launch] = asyncio.get_running_loop().create_future()
        self._configured = asyncio.Event()
        self._initialized = False
        self._runs_in_terminal = False
        self._threads: dict[int, Thread] = {}
        self._thread_ids = itertools.count(1)
        self._sources: dict[str, bytes] = {}
        self._building: asyncio.Task[gateway_pb2.Result | CrozeError] | None = None
        self._left = False
        self._answers: dict[str, Callable[[Message], Awaitable[Message | None]]] = {
            "initialize": self._initialize,
            "launch": self._launch,
            "setBreakpoints": self._set_breakpoints,
            "configurationDone": self._configuration_done,
            "disconnect": self._disconnect,
            "threads": self._list_threads,
            "stackTrace": self._stack_trace,
            "scopes": self._scopes,
            "variables": self._variables,
            "evaluate": self._evaluate,
            "source": self._source,
            **{action.value: self._resuming(action) for action in StepAction},
        }

    async def launched(self) -> Launch:
        """Wait for the editor to say what to build. Raises `Canceled` if it goes instead."""
        return await self._launched

    async def work(self, bridge: HeldBuild) -> gateway_pb2.Result:
        """This side's part of the build. Raises `Canceled` when the editor has gone."""
        if self._left:
            raise Canceled()
        self._building = self._group.create_task(self._built(bridge))
        try:
            await asyncio.wait([self._building])
        except asyncio.CancelledError:
            self._building.cancel()
            raise
        if self._building.cancelled():
            raise Canceled()
        built = self._building.result()
        if isinstance(built, CrozeError):
            raise built
        return built

    async def _built(self, bridge: HeldBuild) -> gateway_pb2.Result | CrozeError:
        try:
            return await self._build(bridge)
        except CrozeError as error:
            return error

    async def _build(self, bridge: HeldBuild) -> gateway_pb2.Result:
        await self._configured.wait()
        result = await bridge.ask_frontend()
        metadata = dict(result.metadata)
        if result.WhichOneof("result") == "ref":
            refs = {"default": result.ref}
        else:
            refs = {f"default ({key})": ref for key, ref in sorted(result.refs.refs.items())}
        await all_of(self._run(name, bridge, ref, metadata) for name, ref in refs.items())
        return result

    async def _run(
        self, name: str, bridge: HeldBuild, ref: gateway_pb2.Ref, metadata: dict[str, bytes]
    ) -> None:
        id = next(self._thread_ids)
        thread = self._threads[id] = Thread(id, name, self, bridge, ref, metadata)
        self.event("thread", {"reason": "started", "threadId": id})
        try:
            await thread.evaluate()
        finally:
            del self._threads[id]
            self.event("thread", {"reason": "exited", "threadId": id})

    async def serve(self) -> None:
        """Answer requests until the editor goes."""
        try:
            while (request := await self._connection.receive()) is not None:
                self._group.create_task(self._answer(request))
        except InvalidRequest as error:
            self.output(f"{error}\n".encode())
        self._gone()

    async def _answer(self, request: Message) -> None:
        answer = self._answers.get(text(request, "command"))
        if answer is None:
            self._connection.answer(request, None, "not implemented")
            return
        try:
            body = await answer(part(request, "arguments"))
        except CrozeError as error:
            self._connection.answer(request, None, str(error) or "refused")
            return
        self._connection.answer(request, body)

    def _gone(self) -> None:
        self._left = True
        if not self._launched.done():
            self._launched.set_exception(Canceled())
        if self._building is not None:
            self._building.cancel()

    async def end(self, code: int) -> None:
        """Tell the editor that the build is over, with this exit code."""
        await self._shell.close()
        self.event("terminated")
        self.event("exited", {"exitCode": code})

    # What threads share (`thread.DebugSession`).

    def event(self, name: str, body: Message | None = None) -> None:
        self._connection.event(name, body)

    def output(self, data: bytes) -> None:
        shown = data.decode(errors="replace")
        self.event("output", {"category": "stdout", "output": shown})

    def source(self, path: str, data: bytes) -> None:
        before = self._sources.get(path)
        if before == data:
            return
        self._sources[path] = data
        reason = "new" if before is None else "changed"
        message: Message = {"name": posixpath.basename(path), "path": path}
        self.event("loadedSource", {"reason": reason, "source": message})

    def file_of(self, name: str) -> str:
        inside, here = self.dockerfile
        return os.path.abspath(name.replace(inside, here, 1) if inside and here else name)

    async def serve_shell(self, bridge: HeldBuild, outcome: BuildOutcome, line: int) -> None:
        await self._shell.serve(bridge, outcome, line)

    # Requests.

    async def _initialize(self, arguments: Message) -> Message:
        if self._initialized:
            raise RequestRefused("already initialized")
        self._initialized = True
        self._runs_in_terminal = bool(arguments.get("supportsRunInTerminalRequest"))
        return {"supportsConfigurationDoneRequest": True}

    async def _launch(self, arguments: Message) -> None:
        self.stop_on_entry = bool(arguments.get("stopOnEntry"))
        if not self._launched.done():
            self._launched.set_result(
                Launch(
                    text(arguments, "dockerfile"),
                    text(arguments, "contextPath"),
                    text(arguments, "target"),
                )
            )
        self.event("initialized")

    async def _set_breakpoints(self, arguments: Message) -> Message:
        path = text(part(arguments, "source"), "path")
        points = self.breakpoints.put(path, parts(arguments, "breakpoints"))
        return {"breakpoints": [each.message() for each in points]}

    async def _configuration_done(self, _arguments: Message) -> None:
        self._configured.set()

    async def _disconnect(self, _arguments: Message) -> None:
        self._gone()

    def _resuming(self, action: StepAction) -> Callable[[Message], Awaitable[Message | None]]:
        async def resume(arguments: Message) -> Message | None:
            self._thread(number(arguments, "threadId")).resume(action)
            return {"allThreadsContinued": False} if action is StepAction.CONTINUE else None

        return resume

    async def _list_threads(self, _arguments: Message) -> Message:
        return {"threads": [{"id": t.id, "name": t.name} for t in self._threads.values()]}

    async def _stack_trace(self, arguments: Message) -> Message:
        return {"stackFrames": self._thread(number(arguments, "threadId")).frames()}

    async def _scopes(self, arguments: Message) -> Message:
        frame = number(arguments, "frameId")
        for thread in self._threads.values():
            if thread.has_frame(frame):
                return {"scopes": thread.scopes(frame)}
        raise RequestRefused(f"no such frame id: {frame}")

    async def _variables(self, arguments: Message) -> Message:
        reference = number(arguments, "variablesReference")
        thread = self._thread(reference >> REFERENCE_BITS)
        return {"variables": await thread.references.get(reference)}

    async def _source(self, arguments: Message) -> Message:
        path = text(part(arguments, "source"), "path")
        data = self._sources.get(path)
        if data is None:
            raise RequestRefused(f"file not found: {path}")
        return {"content": data.decode(errors="replace")}

    async def _evaluate(self, arguments: Message) -> Message:
        context = text(arguments, "context")
        if context != "repl":
            raise RequestRefused(f"unsupported evaluate context: {context}")
        expression = text(arguments, "expression")
        if len(expression) > EXPRESSION_CHARS:
            raise RequestRefused(f"expression has more than {EXPRESSION_CHARS} characters")
        try:
            words = shlex.split(expression, comments=True)
        except ValueError:
            raise RequestRefused(
                "cannot parse expression: EOF found when expecting closing quote"
            ) from None
        if not words:
            return {"result": "", "variablesReference": 0}
        if words[0] != "exec":
            raise RequestRefused(f'unknown command {quote(words[0])} for ""')
        if not self._runs_in_terminal:
            raise RequestRefused("cannot exec without runInTerminal client capability")
        path = await self._shell.listen()
        await self._connection.ask(
            "runInTerminal", {"kind": "integrated", "cwd": os.getcwd(), "args": attach_words(path)}
        )
        return {"result": f"Started process attached to {path}.", "variablesReference": 0}

    def _thread(self, id: int) -> Thread:
        thread = self._threads.get(id)
        if thread is None:
            raise RequestRefused(f"no such thread: {id}")
        return thread


@contextlib.asynccontextmanager
async def serving(connection: DapConnection) -> AsyncIterator[Adapter]:
    """An adapter that answers until the block ends; then the editor is told how it went."""
    code = 1
    async with task_group() as group:
        adapter = Adapter(connection, group)
        answering = group.create_task(adapter.serve())
        try:
            yield adapter
            code = 0
        finally:
            # Editors interrupt what they are told has ended: that changes nothing any more.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            await adapter.end(code)
            answering.cancel()
