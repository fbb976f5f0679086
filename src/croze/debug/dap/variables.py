"""What a user sees of an op and of its files: variables, and variables in them.

Source: buildx `dap/variables.go`.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime

from croze.api import ops_pb2, stat_pb2
from croze.debug.dap.protocol import Message
from croze.debug.dap.trees import BrowsableTree
from croze.errors import CrozeError

BRIEF = 64
"""How long a list may be to be shown in one line."""
BLURB_BYTES = 512
"""What is read of a file before it is known to be text."""
REFERENCE_BITS = 24
"""The lower bits of a reference; the thread's id is above."""

_DIRECTORY, _SYMLINK = 1 << 31, 1 << 27
_TYPES = 0x8F280000
_LETTERS = "dalTLDpSugct?"

Contents = Callable[[], Awaitable[list[Message]]]


class VariableReferences:
    """Numbers by which a client asks for what is in a variable; each is found out once."""

    def __init__(self, thread: int) -> None:
        self._base = thread << REFERENCE_BITS
        self._contents: dict[int, Contents] = {}
        self._found: dict[int, list[Message]] = {}
        self._lock = asyncio.Lock()

    def new(self, contents: Contents) -> int:
        id = self._base | (len(self._contents) + 1)
        self._contents[id] = contents
        return id

    def fixed(self, contents: list[Message]) -> int:
        async def same() -> list[Message]:
            return contents

        return self.new(same)

    async def get(self, id: int) -> list[Message]:
        contents = self._contents.get(id)
        if contents is None:
            return []
        async with self._lock:
            if id not in self._found:
                self._found[id] = await contents()
            return self._found[id]

    def reset(self) -> None:
        self._contents.clear()
        self._found.clear()


def variable(name: str, value: str, reference: int = 0) -> Message:
    return {"name": name, "value": value, "variablesReference": reference}


def arguments_of(op: ops_pb2.Op, refs: VariableReferences) -> Message:
    """The scope of what an op says."""
    rows = []
    if op.HasField("platform"):
        rows.append(_platform(op.platform, refs))
    if op.WhichOneof("op") == "exec":
        rows.append(_exec(op.exec.meta, refs))
    return {
        "name": "Arguments",
        "presentationHint": "arguments",
        "variablesReference": refs.fixed(rows),
        "expensive": False,
    }


def files_of(trees: Mapping[str, BrowsableTree], refs: VariableReferences) -> Message:
    """The scope of what an op finds."""

    async def roots() -> list[Message]:
        return [
            variable(name, "", refs.new(_listing(tree, "/", refs)))
            for name, tree in sorted(trees.items())
        ]

    return {
        "name": "File Explorer",
        "presentationHint": "locals",
        "variablesReference": refs.new(roots),
        "expensive": True,
    }


def _platform(platform: ops_pb2.Platform, refs: VariableReferences) -> Message:
    rows = [
        variable("architecture", platform.Architecture),
        variable("os", platform.OS),
    ]
    if platform.Variant:
        rows.append(variable("variant", platform.Variant))
    if platform.OSVersion:
        rows.append(variable("osversion", platform.OSVersion))
    return variable("platform", f"{platform.OS}/{platform.Architecture}", refs.fixed(rows))


def _exec(meta: ops_pb2.Meta, refs: VariableReferences) -> Message:
    args = [variable(str(index), arg) for index, arg in enumerate(meta.args)]
    env = [variable(*_pair(each)) for each in meta.env]
    line = " ".join(meta.args)
    rows = [
        variable("args", _brief(line), refs.fixed(args)),
        variable("env", _brief(" ".join(meta.env)), refs.fixed(env)),
    ]
    if meta.cwd:
        rows.append(variable("workdir", meta.cwd))
    if meta.user:
        rows.append(variable("user", meta.user))
    return variable("exec", line, refs.fixed(rows))


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _brief(text: str) -> str:
    return f"{text[:60]} ..." if len(text) >= BRIEF else text


def _listing(tree: BrowsableTree, path: str, refs: VariableReferences) -> Contents:
    async def listed() -> list[Message]:
        try:
            entries = await tree.list(path)
        except CrozeError as error:
            return [variable("error", str(error))]
        return [_file(tree, path, stat, refs) for stat in entries]

    return listed


def _file(
    tree: BrowsableTree, folder: str, stat: stat_pb2.Stat, refs: VariableReferences
) -> Message:
    name = stat.path.decode(errors="replace")
    path = posixpath.join(folder, name)
    about = [*_about(stat)]
    if stat.mode & _DIRECTORY:
        inside = _listing(tree, path, refs)

        async def listed() -> list[Message]:
            return [variable(".", _line(stat), refs.fixed(about)), *await inside()]

        return variable(f"{name}/", "", refs.new(listed))

    async def shown() -> list[Message]:
        regular = not stat.mode & _TYPES
        return [*(await _data(tree, path) if regular else ()), *about]

    return variable(name, _line(stat), refs.new(shown))


async def _data(tree: BrowsableTree, path: str) -> Sequence[Message]:
    try:
        data = await tree.read(path, 0, BLURB_BYTES)
    except CrozeError as error:
        return [variable("data", str(error))]
    if is_binary(data):
        return [variable("data", "binary data")]
    failed = []
    if len(data) == BLURB_BYTES:
        try:
            data += await tree.read(path, BLURB_BYTES, 0)
        except CrozeError as error:
            failed = [variable("dataError", str(error))]
    return [variable("data", data.decode(errors="replace")), *failed]


def _about(stat: stat_pb2.Stat) -> Sequence[Message]:
    rows = []
    if stat.linkname:
        rows.append(variable("linkname", stat.linkname.decode(errors="replace")))
    return [
        *rows,
        variable("mode", mode_text(stat.mode)),
        variable("uid", str(stat.uid)),
        variable("gid", str(stat.gid)),
        variable("mtime", _time(stat)),
    ]


def _line(stat: stat_pb2.Stat) -> str:
    return f"{mode_text(stat.mode)} {stat.uid}:{stat.gid} {_time(stat)}"


def _time(stat: stat_pb2.Stat) -> str:
    when = datetime.fromtimestamp(stat.modTime // 10**9, UTC)
    return f"{when:%b} {when.day} {when:%H:%M:%S %Y}"


def mode_text(mode: int) -> str:
    """A mode as Go's `fs.FileMode` prints itself."""
    kind = "".join(letter for index, letter in enumerate(_LETTERS) if mode & (1 << (31 - index)))
    rights = "".join(
        letter if mode & (1 << (8 - index)) else "-" for index, letter in enumerate("rwxrwxrwx")
    )
    return (kind or "-") + rights


def is_binary(data: bytes) -> bool:
    """Whether bytes are no text: more than three in ten are not, or one is zero."""
    if b"\x00" in data:
        return True
    text = data.decode("utf-8", "replace")
    odd = sum(1 for char in text if char == "\ufffd" or (char < " " and char not in "\n\t"))
    return bool(data) and odd / len(data) > 0.3
