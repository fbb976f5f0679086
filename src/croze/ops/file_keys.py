"""How a file op is cached: the cache map of `FileOp` (golden `cache/README.md`, 2.3 and 2.4)."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import Struct

from croze.api import ops_pb2
from croze.cachekeys import texts
from croze.cachekeys.texts import noted_digest, noted_list_digest
from croze.errors import InvalidRequest
from croze.fs.content.checksum import Query
from croze.gotypes import messages
from croze.gotypes.glob import has_wildcards
from croze.ops.content import ContentDigests, ContentKey, dedupe_paths, unlazy
from croze.solver.contract import CacheMap, InputKeying

CACHE_TYPE = "buildkit.file.v0"
NO_INPUT = -1
_OWNED = ("copy", "mkdir", "mkfile")
"""Actions that say whose the files are."""

_LARGEST_KNOWN_BYTES: Final = 512
"""What is remembered takes up to a hundred times as much: a client may fill all places."""

Actions = Sequence[ops_pb2.FileAction]


class InputKey(Struct, frozen=True):
    """How an input's content enters the key: what is read of it, and the digest that tells this."""

    selector: str
    queries: tuple[Query, ...]


class FileKey(Struct, frozen=True):
    """What a file op is cached by. An input that does not count by its content has None."""

    digest: str
    inputs: tuple[InputKey | None, ...]


def cache_map(op: ops_pb2.FileOp, input_count: int, contents: ContentDigests) -> CacheMap:
    """The cache map of a file op with so many inputs."""
    data = op.SerializeToString()
    # Who notes texts wants those of every digest.
    is_small = max(len(data), input_count) <= _LARGEST_KNOWN_BYTES and not texts.wanted()
    key = (_known if is_small else file_key)(data, input_count)
    inputs = [
        InputKeying(prepare=unlazy)
        if each is None
        else InputKeying(each.selector, ContentKey(contents, each.queries), unlazy)
        for each in key.inputs
    ]
    return CacheMap(digest=key.digest, inputs=tuple(inputs))


def file_key(data: bytes, input_count: int) -> FileKey:
    """What a file op, marshalled, is cached by; it follows from these alone."""
    actions = ops_pb2.FileOp.FromString(data).actions
    queries = _queries(actions, input_count)
    changed = {a.input for a in actions}
    inputs = []
    for index in range(input_count):
        own_queries = queries.pop(index, [])
        by_content = own_queries and index not in changed
        inputs.append(_input_key(own_queries) if by_content else None)
    if queries:
        bad = next(iter(queries))
        raise InvalidRequest(f"invalid input index {bad} in file op with {input_count} inputs")
    return FileKey(noted_digest(key_json(actions, input_count), "json"), tuple(inputs))


_known = lru_cache(4096)(file_key)
"""Most steps were there in the build before."""


def key_json(actions: Actions, input_count: int) -> bytes:
    """The text whose digest is the op's cache digest."""
    value: dict[str, Any] = {
        "Type": CACHE_TYPE,
        "Actions": [_action_json(a, input_count) for a in actions],
    }
    indexes = [[a.input, a.secondaryInput, a.output] for a in actions]
    if not _is_usual(indexes):
        value["indexes"] = indexes
    return messages.encode(value)


def _action_json(action: ops_pb2.FileAction, input_count: int) -> bytes:
    kind = action.WhichOneof("action")
    if kind is None:
        return b""
    body: Message = getattr(action, kind)
    if kind == "copy" and _copies_an_input(action, input_count):
        copy = ops_pb2.FileActionCopy()
        copy.CopyFrom(action.copy)
        copy.src = _base(copy.src)
        body = copy
    return messages.encode(body)


def _copies_an_input(action: ops_pb2.FileAction, input_count: int) -> bool:
    return action.secondaryInput != NO_INPUT and action.secondaryInput < input_count


def _base(path: str) -> str:
    """Go's `path.Base`."""
    stripped = path.rstrip("/")
    if not stripped:
        return "/" if path else "."
    return posixpath.basename(stripped)


def _is_usual(indexes: Sequence[Sequence[int]]) -> bool:
    """A chain of actions on input 0 with copies from input 1: its indexes are left out, as they
    were in times when no indexes were hashed. The offset is the number of actions, not inputs."""
    count = len(indexes)
    for i, (primary, secondary, output) in enumerate(indexes):
        last = i == count - 1
        if primary != (0 if i == 0 else count + i - 1):
            return False
        if secondary not in (-1, 1) or output != (0 if last else -1):
            return False
    return count > 0


def _queries(actions: Actions, input_count: int) -> dict[int, list[Query]]:
    """What is read of each input."""
    queries: dict[int, list[Query]] = {}
    for action in actions:
        kind = action.WhichOneof("action")
        if kind in _OWNED:
            body = getattr(action, kind)
            if body.HasField("owner"):
                _add_owner(queries, body.owner)
        if kind == "copy" and _copies_an_input(action, input_count):
            queries.setdefault(action.secondaryInput, []).append(_copy_query(action.copy))
    return queries


def _add_owner(queries: dict[int, list[Query]], owner: ops_pb2.ChownOpt) -> None:
    """A name that nothing can say the number of is no trouble here: running the op will tell."""
    for option, path in ((owner.user, "/etc/passwd"), (owner.group, "/etc/group")):
        if option.WhichOneof("user") == "byName":
            if option.byName.input < 0:
                return
            queries.setdefault(option.byName.input, []).append(Query(path=path, follow_links=True))


def _copy_query(copy: ops_pb2.FileActionCopy) -> Query:
    return Query(
        path=copy.src,
        follow_links=copy.followSymlink,
        wildcard=copy.allowWildcard and has_wildcards(copy.src),
        include=tuple(copy.include_patterns),
        exclude=tuple(copy.exclude_patterns),
        required_paths=tuple(copy.required_paths),
    )


def _input_key(queries: Sequence[Query]) -> InputKey:
    paths = sorted((q.path for q in queries), key=lambda p: p.encode(), reverse=True)
    selector = noted_list_digest(paths, "string-list")
    return InputKey(selector, tuple([_rooted(q) for q in _dedupe(queries)]))


def _is_pattern(query: Query) -> bool:
    return bool(query.wildcard or query.include or query.exclude)


def _dedupe(queries: Sequence[Query]) -> list[Query]:
    """Plain paths once, without those below others; patterns all; sorted by path."""
    plain = [q for q in queries if not _is_pattern(q)]
    out = []
    for follow in (False, True):
        paths = dedupe_paths([q.path for q in plain if q.follow_links == follow])
        out += [Query(path=p, follow_links=follow) for p in paths]
    out += [q for q in queries if _is_pattern(q)]
    return sorted(out, key=lambda q: q.path.encode())


def _rooted(query: Query) -> Query:
    return Query(
        path=posixpath.normpath("/" + query.path.lstrip("/")),
        follow_links=query.follow_links,
        wildcard=query.wildcard,
        include=query.include,
        exclude=query.exclude,
        required_paths=query.required_paths,
    )
