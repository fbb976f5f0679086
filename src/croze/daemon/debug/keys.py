"""`/debug/cache/`: cache keys as BuildKit shows them (`cmd/buildkitd/debug.go`): each record with
the links that lead to it, ours or those of a cache's configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import msgspec
from msgspec import Struct, field

from croze.cachekeys.contract import KeyLink
from croze.cachekeys.names import RANDOM
from croze.daemon.debug.texts import TextRecord
from croze.daemon.debug.texts import as_json as texts_json
from croze.daemon.debug.texts import as_text as texts_text
from croze.errors import InvalidRequest
from croze.gotypes import gojson
from croze.patterns import lazy_pattern

Json = dict[str, object]
DIGEST = lazy_pattern(r"(random|sha256):[0-9a-f]{64}")


class KeyRecord(Struct):
    """A cache key, numbered, with the links that lead to it."""

    id: int
    name: str
    parents: list[tuple[KeyLink, KeyRecord]] = field(default_factory=list)
    children: dict[int, dict[int, None]] = field(default_factory=dict)

    @property
    def random(self) -> bool:
        return self.name.startswith(RANDOM)

    @property
    def digest(self) -> str:
        """The digest of a key that says what it is itself, not how it is reached."""
        if not DIGEST.match(self.name):
            return ""
        return self.name.replace(RANDOM, "sha256:", 1)


class KeyGraph:
    """Cache keys by name, numbered as they come."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}

    def record(self, name: str) -> KeyRecord:
        record = KeyRecord(len(self._records) + 1, name)
        return self._records.setdefault(name, record)

    def link(self, source: str, link: KeyLink, target: str) -> None:
        above, below = self.record(source), self.record(target)
        below.parents.append((link, above))
        above.children.setdefault(link.input_index, {})[below.id] = None

    def records(self) -> Iterable[KeyRecord]:
        return self._records.values()


Known = Callable[[Iterable[str]], list[TextRecord]]
"""What is known of the texts of digests."""


def _nothing(digests: Iterable[str]) -> list[TextRecord]:
    return []


def as_json(records: Iterable[KeyRecord], texts_of: Known = _nothing) -> Iterator[Json]:
    """The records as JSON, for `Accept: application/json`."""
    return (_object(record, texts_of) for record in records)


def _digests(record: KeyRecord) -> Iterable[str]:
    """All that say something of it, once each."""
    digests = [record.digest]
    for link, _ in record.parents:
        digests += [link.digest, link.selector]
    return dict.fromkeys(digest for digest in digests if digest)


def _object(record: KeyRecord, texts_of: Known) -> Json:
    members: Json = {"id": record.id}
    if record.parents:
        members["parents"] = [_parent(link, above) for link, above in record.parents]
    if record.digest:
        members["digest"] = record.digest
    if record.random:
        members["random"] = True
    if record.children:
        members["children"] = {
            str(number): {str(id): {} for id in sorted(below)}
            for number, below in sorted(record.children.items())
        }
    if texts := texts_of(_digests(record)):
        members["debug"] = [texts_json(text) for text in texts]
    return members


def _parent(link: KeyLink, above: KeyRecord) -> Json:
    members: Json = {"input": link.input_index, "output": link.output_index, "digest": link.digest}
    if link.selector:
        members["selector"] = link.selector
    return {**members, "target": above.id}


def as_text(records: Iterable[KeyRecord], texts_of: Known = _nothing) -> Iterator[str]:
    """The records as text for people, line by line."""
    for record in records:
        yield f"ID: {record.id}{' (random)' if record.random else ''}\n"
        if record.digest:
            yield f"Digest: {record.digest}\n"
        if record.parents:
            yield "Parents:\n"
        for link, above in sorted(record.parents, key=lambda p: (p[0].input_index, p[0].digest)):
            yield f"  Input {link.input_index}:\t{above.id}\t{link.digest}\n"
            if link.selector:
                yield f"    Selector: {link.selector}\n"
        if record.children:
            yield "Children:\n"
        for number, below in sorted(record.children.items()):
            yield f"  Input {number}:\t {', '.join(map(str, sorted(below)))}\n"
        if texts := texts_of(_digests(record)):
            yield "Plaintexts:\n"
        for text in texts:
            yield from texts_text(text)
            yield "\n"
        yield "\n"


class _Input(msgspec.Struct):
    link: int = 0
    selector: str = ""


class _Row(msgspec.Struct):
    digest: str = ""
    inputs: list[list[_Input]] = []


class _Config(msgspec.Struct):
    records: list[_Row] = []


def from_cache_config(data: bytes) -> KeyGraph:
    """The graph of a cache's configuration (`application/vnd.buildkit.cacheconfig.v0`). Raises
    `InvalidRequest`."""
    try:
        rows = gojson.unmarshal(data, type=_Config).records
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"failed to load cache: {error}") from error
    names = [f"{n}" if row.inputs else row.digest for n, row in enumerate(rows)]
    graph = KeyGraph()
    for name in names:
        graph.record(name)
    for name, row in zip(names, rows, strict=True):
        for number, links in enumerate(row.inputs):
            for link in links:
                if not 0 <= link.link < len(rows):
                    raise InvalidRequest("failed to load cache: invalid input link")
                graph.link(names[link.link], KeyLink(number, 0, row.digest, link.selector), name)
    return graph
