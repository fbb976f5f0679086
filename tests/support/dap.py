"""A client of the Debug Adapter Protocol: what an editor is to an adapter."""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from tests.support.waiting import PATIENCE_S

Message = dict[str, Any]


class Client:
    """Starts an adapter and speaks to it; kills it on the way out, if it still runs."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.events: list[Message] = []
        self.on_request: Callable[[Message], None] = lambda _request: None
        self._process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._seq = itertools.count(1)
        self._answers: dict[int, queue.Queue[Message]] = {}
        self._stops: queue.Queue[Message] = queue.Queue()
        self._initialized = threading.Event()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def launch(self, config: Message, lines: Sequence[int] = ()) -> list[Message]:
        """Start the build, with breakpoints; what is said of them."""
        body = self.ask("initialize", {"supportsRunInTerminalRequest": True})
        assert body == {"supportsConfigurationDoneRequest": True}
        self.ask("launch", config)
        assert self._initialized.wait(PATIENCE_S)
        points: list[Message] = []
        if lines:
            source = {"name": "Dockerfile", "path": config["dockerfile"]}
            wanted = [{"line": line} for line in lines]
            answer = self.ask("setBreakpoints", {"source": source, "breakpoints": wanted})
            points = answer["breakpoints"]
        self.ask("configurationDone", {})
        return points

    def ask(self, command: str, arguments: Message) -> Message:
        """The body of an answer that says yes."""
        answer = self.answer(command, arguments)
        assert answer["success"], answer
        body: Message = answer.get("body", {})
        return body

    def answer(self, command: str, arguments: Message) -> Message:
        seq = next(self._seq)
        answers = self._answers[seq] = queue.Queue()
        self._send({"seq": seq, "type": "request", "command": command, "arguments": arguments})
        return answers.get(timeout=PATIENCE_S)

    def stopped(self) -> Message:
        """Wait for the next stop; what is told of it. The end counts as one, with no reason."""
        return self._stops.get(timeout=PATIENCE_S)

    def at(self, stop: Message) -> list[tuple[int, str]]:
        """Line and name of each frame."""
        return [(f["line"], f["name"]) for f in self.frames(stop)]

    def frames(self, stop: Message) -> list[Message]:
        threads = self.ask("threads", {})["threads"]
        assert [t["id"] for t in threads] == [stop["threadId"]]
        frames: list[Message] = self.ask("stackTrace", {"threadId": stop["threadId"]})[
            "stackFrames"
        ]
        return frames

    def variables(self, reference: int) -> dict[str, Message]:
        found = self.ask("variables", {"variablesReference": reference})["variables"]
        return {each["name"]: each for each in found}

    def named(self, event: str) -> list[Message]:
        return [e.get("body", {}) for e in self.events if e["event"] == event]

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """Wait for the end, and for all that was said before; the exit code."""
        code = self._process.wait(PATIENCE_S)
        self._listening.join(PATIENCE_S)
        return code

    def reply(self, request: Message) -> None:
        self._send(
            {
                "seq": next(self._seq),
                "type": "response",
                "request_seq": request["seq"],
                "success": True,
                "command": request["command"],
                "body": {},
            }
        )

    def _send(self, message: Message) -> None:
        data = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        self._process.stdin.flush()

    def _listen(self) -> None:
        with contextlib.suppress(ValueError, OSError):
            while (message := self._receive()) is not None:
                self._take(message)

    def _take(self, message: Message) -> None:
        match message["type"]:
            case "response":
                self._answers.pop(message["request_seq"]).put(message)
            case "request":
                self.on_request(message)
            case _:
                self.events.append(message)
                if message["event"] == "initialized":
                    self._initialized.set()
                elif message["event"] == "stopped":
                    self._stops.put(message["body"])
                elif message["event"] == "terminated":
                    self._stops.put({"reason": ""})

    def _receive(self) -> Message | None:
        out = self._process.stdout
        assert out is not None
        header = out.readline()
        if not header:
            return None
        name, _, length = header.partition(b": ")
        assert name == b"Content-Length"
        assert out.readline() == b"\r\n"
        message: Message = json.loads(out.read(int(length)))
        return message
