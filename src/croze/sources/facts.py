"""What a web or git source says of itself, for frontends that ask before they build."""

from __future__ import annotations

from dataclasses import dataclass

from croze.errors import Unsupported
from croze.sources.contract import SourceContext, SourceRequest
from croze.sources.git import SCHEME, GitSources
from croze.sources.http import SCHEMES, HttpSources


@dataclass(frozen=True)
class SourceFacts:
    """Times in Unix seconds; None and empty where there is no answer."""

    committer_time: int | None = None
    last_modified: int | None = None
    filename: str = ""
    checksum: str = ""


async def ask(
    http: HttpSources, git: GitSources, request: SourceRequest, ctx: SourceContext
) -> SourceFacts:
    """Fetches as little as it takes: a file is fetched, of a repository one commit. Raises
    `Unsupported` for other schemes."""
    scheme = request.identifier.partition("://")[0]
    if scheme in SCHEMES:
        found = await http.open_http(request).describe(ctx)
        modified = int(found.modified.timestamp()) if found.modified is not None else None
        return SourceFacts(None, modified, found.filename, found.digest)
    if scheme == SCHEME:
        source = git.open_git(request)
        commit = await source.resolve(ctx)
        return SourceFacts(await source.commit_time(ctx), checksum=commit.object)
    raise Unsupported(f"no metadata for sources of type {scheme}")
