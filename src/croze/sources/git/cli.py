"""Runs the system's git, shut off from the machine's own configuration.

Source of the environment: BuildKit `util/gitutil`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import signal
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from croze.aio.parallel import all_of
from croze.errors import CrozeError, InvalidRequest, ResourceExhausted, Unavailable
from croze.files.redact import redact_text
from croze.gotypes.numbers import parse_int
from croze.gotypes.quote import quote
from croze.gotypes.strings import from_bytes, to_bytes
from croze.patterns import lazy_pattern
from croze.registry.transport import Retry, with_retries
from croze.workers.memory import memory_bytes

_PASSED = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_NETWORK = ("ls-remote", "fetch", "submodule")
_ANSWERS = {"ls-remote", "submodule", "init"}
"""Commands whose standard output is for the user, too; that of others may be any file."""
_FLAKY = lazy_pattern(
    "returned error: (?:429|5..)|Connection (?:reset|timed out)|early EOF|RPC failed|hung up|"
    "unexpected disconnect|Operation timed out|Empty reply from server|transfer closed|"
    "end of response with .* bytes missing"
)
_FOR_GOOD = lazy_pattern(
    "not found|does not appear to be a git repository|[Pp]ermission denied|"
    "^(?:fatal|error): .*(?:[Oo]ut of memory|Cannot allocate memory)",
    re.MULTILINE,
)
"""What a remote says begins with `remote: `: it may have more memory another time."""
_NO_DEPTH = ("--depth", "shallow")
_ANSWER_BYTES = 64 << 20
"""The names of a million references take as much."""
_COMPLAINT_BYTES = 1 << 20
_PIECE_BYTES = 256 << 10
_PART_OF_MEMORY = 2
_LEAST_MEMORY_BYTES = 512 << 20
"""With less git may not begin: the stacks of its threads count, which are as many as the machine
likes, whatever part of its memory is ours."""
_NO_COMMIT = ("not our ref", "unadvertised object")


class GitFailed(CrozeError):
    """git ended with an error; `stderr` is what it said."""

    def __init__(self, stderr: str, code: int) -> None:
        super().__init__(f"git stderr:\n{stderr}: exit status {code}")
        self.stderr = stderr


class Git(Struct, frozen=True, eq=False):
    """How git is run. `config` is given by environment, so that secrets show in no process list.
    `log` gets what git writes to standard error, and of some commands what they answer."""

    git_dir: str = ""
    work_tree: str = ""
    config: Sequence[tuple[str, str]] = ()
    ssh_socket: str = ""
    known_hosts: str = ""
    log: Callable[[bytes], None] | None = None
    retry: Retry = field(default_factory=Retry)

    def within(self, *, git_dir: str = "", work_tree: str = "") -> Git:
        """Git run in a repository, with the same settings."""
        return replace(self, git_dir=git_dir or self.git_dir, work_tree=work_tree)

    async def run(self, *args: str) -> str:
        """`output` as text."""
        return (await self.output(*args)).decode("utf-8", "replace")

    async def output(self, *args: str) -> bytes:
        """Standard output. Raises `GitFailed`. Shallow fetches fall back to full ones where the
        server can't, and fetches of a commit to fetches of everything."""
        attempt = list(args)
        while True:
            try:
                return await self._patiently(attempt)
            except GitFailed as err:
                fewer = _fallback(attempt, err.stderr)
                if fewer == attempt:
                    raise
                attempt = fewer

    async def _patiently(self, args: Sequence[str]) -> bytes:
        """What goes over a network is tried again when that is flaky."""
        if args[0] not in _NETWORK:
            return await self._once(args)
        log = self.log
        return await with_retries(
            self.retry,
            _is_flaky,
            lambda: self._once(args),
            (lambda text: log(text.encode())) if log else None,
        )

    async def _once(self, args: Sequence[str]) -> bytes:
        where = ["--work-tree", self.work_tree] if self.work_tree else []
        where += ["--git-dir", self.git_dir] if self.git_dir else []
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *where,
                *args,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self.work_tree or self.git_dir or "/",
                env=self._environment(),
                start_new_session=True,
                umask=0o022,
            )
        except FileNotFoundError as err:
            raise Unavailable("git is not installed") from err
        _bound_memory(process.pid)
        try:
            out, complaint = await _said(process)
        except BaseException:
            _kill(process)
            await asyncio.shield(process.wait())
            raise
        if len(out) > _ANSWER_BYTES:
            raise ResourceExhausted(f"git {args[0]} answers with more than {_ANSWER_BYTES} bytes")
        shown = redact_text(from_bytes(complaint))
        if self.log is not None:
            beginning = out[:_COMPLAINT_BYTES] if _ANSWERS.intersection(args[:3]) else b""
            answer = redact_text(from_bytes(beginning))
            if shown or answer:
                self.log(to_bytes(shown + answer))
        if process.returncode:
            raise GitFailed(shown, process.returncode)
        return out

    def _environment(self) -> Mapping[str, str]:
        hosts = (
            f"-o UserKnownHostsFile={self.known_hosts}"
            if self.known_hosts
            else "-o StrictHostKeyChecking=no"
        )
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_SSH_COMMAND": f"ssh -F /dev/null {hosts}",
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "HOME": "/dev/null",
        }
        if self.ssh_socket:
            environment["SSH_AUTH_SOCK"] = self.ssh_socket
        for name in (*_PASSED, *(name.lower() for name in _PASSED)):
            if name in os.environ:
                environment[name] = os.environ[name]
        # Submodules must not reach into this machine's files.
        config = [("protocol.file.allow", "user"), *self.config]
        environment["GIT_CONFIG_COUNT"] = str(len(config))
        for i, (key, value) in enumerate(config):
            environment[f"GIT_CONFIG_KEY_{i}"] = key
            environment[f"GIT_CONFIG_VALUE_{i}"] = value
        return environment


async def _said(process: Process) -> tuple[bytes, bytes]:
    """What git writes, once it has ended; of more than anyone keeps the beginning. A remote may
    have it say things for ever."""
    assert process.stdout is not None
    assert process.stderr is not None
    out, complaint = await all_of(
        [
            _beginning(process.stdout, _ANSWER_BYTES + 1, lambda: _kill(process)),
            _beginning(process.stderr, _COMPLAINT_BYTES),
        ]
    )
    await process.wait()
    return out, complaint


async def _beginning(
    stream: asyncio.StreamReader, most_bytes: int, on_most: Callable[[], None] = lambda: None
) -> bytes:
    """All is read, and so much is kept. `on_most` is called when it is as much."""
    start = bytearray()
    while piece := await stream.read(_PIECE_BYTES):
        if len(start) < most_bytes:
            start += piece[: most_bytes - len(start)]
            if len(start) == most_bytes:
                on_most()
    return bytes(start)


def _bound_memory(pid: int) -> None:
    """Let git, and what it starts, take a part of the memory, each: a pack of some kilobytes may
    hold a file, or a tree of trees, without end (git-index-pack(1) keeps what deltas make in
    memory, and a checkout a list of all paths)."""
    most = max(memory_bytes() // _PART_OF_MEMORY, _LEAST_MEMORY_BYTES)
    with contextlib.suppress(OSError):  # it has ended
        _, hard = resource.prlimit(pid, resource.RLIMIT_DATA)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, limit))


def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _is_flaky(err: CrozeError) -> bool:
    if not isinstance(err, GitFailed) or _FOR_GOOD.search(err.stderr):
        return False
    return _FLAKY.search(err.stderr) is not None


async def commit_time(git: Git, object: str) -> int:
    """When the commit behind an object was made, in Unix seconds. Raises `CrozeError`, also for one
    that says no time: git makes none, but takes any."""
    text = await git.run("show", "-s", "--format=%ct", f"{object}^{{commit}}")
    try:
        return parse_int(text.strip())
    except InvalidRequest as error:
        raise error.wrap(f"failed to parse commit timestamp {quote(text)}") from None


def is_commit(text: str) -> bool:
    """Whether a text is a full commit digest, of either kind."""
    return len(text) in (40, 64) and all(c in "0123456789abcdef" for c in text)


def _fallback(args: list[str], stderr: str) -> list[str]:
    if any(word in stderr for word in _NO_DEPTH) and "--depth=1" in args:
        return [each for each in args if each != "--depth=1"]
    if any(word in stderr for word in _NO_COMMIT) and args[0] == "fetch" and is_commit(args[-1]):
        return [each for each in args[:-1] if each not in ("--depth=1", "--no-tags")]
    return args
