"""What a web or git source says of itself, for frontends that ask before they build."""

from __future__ import annotations

from msgspec import Struct

from croze.errors import InvalidRequest
from croze.sources.contract import SourceContext
from croze.sources.git.source import SCHEME, GitSource, GitSources
from croze.sources.http import SCHEMES, HttpSource, HttpSources
from croze.sources.request import SourceRequest, unknown_source

MAX_SUFFIX_BYTES = 4096


class ChecksumRequest(Struct, frozen=True):
    """A digest of a file followed by `suffix`. `algorithm`: `sha256`, `sha384` or `sha512`."""

    algorithm: str
    suffix: bytes = b""


class FactsWanted(Struct, frozen=True):
    """What is asked for beyond what costs nothing: each may mean a fetch."""

    commit_time: bool = False
    git_objects: bool = False
    checksum: ChecksumRequest | None = None


NOTHING_MORE = FactsWanted()
_SILENT = frozenset({"local", "docker-image", "oci-layout", "docker-image+blob", "oci-layout+blob"})
"""Sources without facts; what there is to know of images is asked elsewhere."""


class GitFacts(Struct, frozen=True):
    """What a git repository says. `commit` is empty unless `checksum` is of a tag object. Objects
    are as git stores them."""

    ref: str
    checksum: str
    commit: str = ""
    commit_object: bytes = b""
    tag_object: bytes = b""


class SourceFacts(Struct, frozen=True):
    """Times in Unix seconds; None and empty where there is no answer."""

    committer_time: int | None = None
    last_modified: int | None = None
    filename: str = ""
    checksum: str = ""
    asked_checksum: str = ""
    git: GitFacts | None = None


async def ask(
    http: HttpSources,
    git: GitSources,
    request: SourceRequest,
    ctx: SourceContext,
    facts: FactsWanted = NOTHING_MORE,
) -> SourceFacts:
    """What a source says of itself, fetching as little as it takes. Raises `InvalidRequest` for a
    scheme that nobody knows."""
    scheme = request.identifier.partition("://")[0]
    if scheme in SCHEMES:
        return await _ask_http(http.open_http(request), ctx, facts)
    if scheme == SCHEME:
        return await _ask_git(git.open_git(request), ctx, facts)
    if scheme in _SILENT:
        return SourceFacts()
    raise unknown_source(request.identifier)


async def _ask_http(source: HttpSource, ctx: SourceContext, facts: FactsWanted) -> SourceFacts:
    checksum = facts.checksum
    if checksum is not None and len(checksum.suffix) > MAX_SUFFIX_BYTES:
        raise InvalidRequest(f"http checksum request suffix exceeds max size {MAX_SUFFIX_BYTES}")
    file = await source.describe(ctx)
    modified = int(file.modified.timestamp()) if file.modified is not None else None
    answer = await source.checksum(ctx, checksum.algorithm, checksum.suffix) if checksum else ""
    return SourceFacts(None, modified, file.filename, file.digest, answer)


async def _ask_git(source: GitSource, ctx: SourceContext, wanted_facts: FactsWanted) -> SourceFacts:
    resolved = await source.resolve(ctx)
    time = await source.commit_time(ctx) if wanted_facts.commit_time else None
    commit = resolved.commit if resolved.commit != resolved.object else ""
    facts = GitFacts(resolved.ref, resolved.object, "" if source.keeps_git_dir else commit)
    if wanted_facts.git_objects:
        objects = await source.objects(ctx)
        commit = objects.resolved.commit if objects.tag else ""
        facts = GitFacts(resolved.ref, resolved.object, commit, objects.commit, objects.tag)
    return SourceFacts(time, checksum=resolved.object, git=facts)
