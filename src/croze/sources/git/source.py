"""`git://`: a commit's files, or a clone, from a remote repository.

One bare repository for each remote is kept between builds and fetched into. Source of the rules:
BuildKit `source/git`.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from croze import compatibility
from croze.aio.locks import KeyedLocks
from croze.aio.threads import in_thread, in_thread_if_many
from croze.errors import AlreadyExists, CrozeError, NotFound, Unsupported
from croze.fs.temporary import temporary_directory
from croze.http.urls import parse_url
from croze.patterns import lazy_pattern
from croze.registry.transport import Retry
from croze.session import ssh
from croze.session.contract import Session, SessionManager
from croze.session.secrets import get_secret
from croze.sources.blob import bring_blob
from croze.sources.contract import Source, SourceContext, SourceKey
from croze.sources.git import bundle as git_bundle
from croze.sources.git.checkout import check_out
from croze.sources.git.cli import Git, GitFailed, commit_time, is_commit
from croze.sources.git.fetch import fetch, prepare
from croze.sources.git.objects import GitObjects, check_signature, read_objects
from croze.sources.git.options import (
    GitOptions,
    check_pinned,
    checked,
    choose,
    git_key,
    parse_options,
    pinned,
)
from croze.sources.images import Images
from croze.sources.materials import GitMaterial, UsedMaterial
from croze.sources.request import SourceRequest
from croze.sources.resolutions import GitCommit
from croze.store.contract import ImmutableRef, MutableRef, RefStore

SCHEME = "git"

_REMOTE, _SNAPSHOT = "git_remote", "git_snapshot"
_DEFAULT_BRANCH = lazy_pattern(r"refs/heads/\S+")


class GitSource:
    """One checkout for one vertex; resolved once."""

    def __init__(self, options: GitOptions, owner: GitSources) -> None:
        self._options = options
        self._owner = owner
        self._found: GitCommit | None = None

    @property
    def keeps_git_dir(self) -> bool:
        return self._options.keep_git_dir

    async def resolve(self, ctx: SourceContext) -> GitCommit:
        """Which commit it is. With a signature asked for, it is checked."""
        if self._found is None:
            commit = await self._owner.resolve(self._options, ctx)
            if self._options.signature is not None:
                await self._objects(commit, ctx)
            self._found = commit
        return self._found

    async def objects(self, ctx: SourceContext) -> GitObjects:
        """The commit, and the tag if it is one, as they are; fetches them."""
        return await self._objects(await self.resolve(ctx), ctx)

    async def _objects(self, commit: GitCommit, ctx: SourceContext) -> GitObjects:
        async with self._owner.fetched(self._options, commit, ctx) as git:
            objects = await read_objects(git, commit)
        if self._options.signature is not None:
            await in_thread(check_signature, objects, self._options.signature)
        return objects

    async def commit_time(self, ctx: SourceContext) -> int:
        """When the commit was made, in Unix seconds; fetches it."""
        commit = await self.resolve(ctx)
        async with self._owner.fetched(self._options, commit, ctx) as git:
            return await commit_time(git, commit.commit)

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`."""
        commit = await self.resolve(ctx)
        return SourceKey(git_key(self._options, commit), pin=commit.object)

    def used(self, pin: str) -> UsedMaterial:
        """See `Source.used`."""
        options = self._options
        url = f"{options.remote}#{options.ref}" if options.ref else options.remote
        locator = options.bundle.locator if options.bundle is not None else ""
        secrets = tuple(id for id in (options.auth_token_secret, options.auth_header_secret) if id)
        ssh = (options.ssh_id,) if options.ssh_id else ()
        return UsedMaterial(GitMaterial(url, pin, locator), secrets, ssh)

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""
        return await self._owner.snapshot(self._options, await self.resolve(ctx), ctx)


class GitSources:
    """Opens `git://`."""

    schemes = (SCHEME,)

    def __init__(
        self,
        refs: RefStore,
        sessions: SessionManager,
        images: Images,
        retry: Retry | None = None,
    ) -> None:
        self._refs = refs
        self._retry = retry or Retry()
        self._sessions = sessions
        self._images = images
        self._locks: KeyedLocks[str] = KeyedLocks()

    def open(self, request: SourceRequest) -> Source:
        return self.open_git(request)

    def open_git(self, request: SourceRequest) -> GitSource:
        """Like `open`, as what it is: git sources answer more than others."""
        return GitSource(parse_options(request), self)

    # -- resolving ---------------------------------------------------------------------------

    async def resolve(self, options: GitOptions, ctx: SourceContext) -> GitCommit:
        """Ask the remote, unless the reference is a commit. Raises `NotFound`."""
        if is_commit(options.ref):
            check_pinned(options.ref, options.checksum)
            return GitCommit(options.ref, options.ref, options.ref)
        if options.bundle is not None:
            return await self._resolve_bundled(options, ctx)
        if options.fetch_by_commit:
            return pinned(options)

        async def ask() -> GitCommit:
            return await self._list(options, ctx)

        def expected(commit: GitCommit) -> bool:
            return commit.object.startswith(options.checksum)

        name = f"{options.remote}#{options.ref}"
        return checked(await ctx.build.commits.get(name, ask, expected), options)

    async def _list(self, options: GitOptions, ctx: SourceContext) -> GitCommit:
        async with self._client(options, ctx) as git:
            ref = options.ref or await _default_branch(git, options)
            try:
                out = await git.run("ls-remote", "--", options.shown, ref, f"{ref}^{{}}")
            except GitFailed as err:
                raise err.wrap(f"failed to fetch remote {options.shown}") from err
        # A remote may have a million names that end so.
        return await in_thread_if_many(out.count("\n"), choose, ref, out)

    async def _resolve_bundled(self, options: GitOptions, ctx: SourceContext) -> GitCommit:
        checksum = options.checksum
        if not options.ref:
            return GitCommit(checksum, checksum, checksum)
        async with self._repository_of(options, ctx) as git:
            await self._import(git, options, ctx)
            return checked(choose(options.ref, await git_bundle.listing(git, options)), options)

    # -- fetching ----------------------------------------------------------------------------

    async def snapshot(
        self, options: GitOptions, commit: GitCommit, ctx: SourceContext
    ) -> ImmutableRef:
        """The checkout, made unless an earlier one is here."""
        name = f"{options.kept_name}#{git_key(options, commit)}"
        name += "(writable)" if _writable(ctx) else ""
        async with self._locks.of(name):
            for id in self._refs.find(**{_SNAPSHOT: name}):
                try:
                    return await self._refs.get(id)
                except NotFound:
                    continue
            async with self.fetched(options, commit, ctx) as git:
                return await self._check_out(git, options, commit, name, ctx)

    async def _check_out(
        self, git: Git, options: GitOptions, commit: GitCommit, name: str, ctx: SourceContext
    ) -> ImmutableRef:
        ref = await self._refs.new(
            None,
            description=f"git snapshot for {options.shown}#{commit.ref}",
            record_type="source.git.checkout",
        )
        try:
            async with ref.mounted(readonly=False) as root:
                if options.checkout_bundle:
                    await git_bundle.write_bundle(git, options, commit.object, root)
                else:
                    await check_out(
                        git,
                        str(root),
                        options,
                        commit,
                        writable=ctx.build.compatibility == compatibility.BUILDKIT_0_13,
                    )
            snapshot = await ref.commit()
        except BaseException:
            await asyncio.shield(ref.release())
            raise
        snapshot.set_meta(**{_SNAPSHOT: name})
        return snapshot

    @asynccontextmanager
    async def fetched(
        self, options: GitOptions, commit: GitCommit, ctx: SourceContext
    ) -> AsyncIterator[Git]:
        """The remote's bare repository, with the commit in it; nobody else uses it meanwhile."""
        async with self._repository_of(options, ctx, sha256=len(commit.object) == 64) as git:
            if options.bundle is not None:
                await self._import(git, options, ctx)
            else:
                await fetch(git, options, commit)
            yield git

    @asynccontextmanager
    async def _repository_of(
        self, options: GitOptions, ctx: SourceContext, *, sha256: bool | None = None
    ) -> AsyncIterator[Git]:
        """The bare repository as it is, with nothing fetched. `sha256` is None where that is still
        to be found out."""
        async with self._locks.of(options.remote), self._client(options, ctx) as git:
            if sha256 is None:
                bundle = await self._bundle(options, ctx)
                sha256 = await git_bundle.is_sha256(git, bundle)
            repo = await self._repository(options.kept_name, options.shown)
            try:
                async with repo.mounted(readonly=False) as root:
                    bare = git.within(git_dir=str(root))
                    await prepare(bare, options, sha256=sha256)
                    yield bare
            finally:
                await asyncio.shield(_put_back(repo))

    async def _import(self, git: Git, options: GitOptions, ctx: SourceContext) -> None:
        await git_bundle.import_bundle(git, options, await self._bundle(options, ctx))

    async def _bundle(self, options: GitOptions, ctx: SourceContext) -> Path:
        bundle = options.bundle
        assert bundle is not None
        try:
            return await bring_blob(self._images, bundle.ref, bundle.store, bundle.session, ctx)
        except CrozeError as err:
            raise err.wrap(f"failed to fetch git bundle {bundle.ref}") from None

    async def _repository(self, remote: str, shown: str) -> MutableRef:
        for id in self._refs.find(**{_REMOTE: remote}):
            try:
                return await self._refs.get_mutable(id)
            except (NotFound, AlreadyExists):
                continue
        ref = await self._refs.new(None, description=f"shared git repo for {shown}")
        ref.set_meta(**{_REMOTE: remote})
        return ref

    # -- credentials -------------------------------------------------------------------------

    @asynccontextmanager
    async def _client(self, options: GitOptions, ctx: SourceContext) -> AsyncIterator[Git]:
        """git with what the client lends for this remote."""
        async with AsyncExitStack() as stack:
            socket, hosts = "", ""
            if options.ssh_id:
                session = await self._agent(options.ssh_id, ctx.sessions)
                uid, gid = os.geteuid(), os.getegid()
                lent = ssh.agent_socket(session, options.ssh_id, uid=uid, gid=gid, mode=0o700)
                socket = str(await stack.enter_async_context(lent))
            if options.known_hosts:
                folder = stack.enter_context(temporary_directory("hosts"))
                hosts = os.path.join(folder, "known_hosts")
                await in_thread(Path(hosts).write_text, options.known_hosts)
            yield Git(
                config=[*await self._authorization(options, ctx), *options.stands_for],
                ssh_socket=socket,
                known_hosts=hosts,
                log=lambda data: ctx.progress.log(2, data),
                retry=self._retry,
            )

    async def _agent(self, id: str, sessions: Sequence[str]) -> Session:
        async def check(session: Session) -> Session:
            try:
                await ssh.check(session, id)
            except Unsupported as err:
                raise CrozeError(f'no SSH key "{id}" forwarded from the client') from err
            return session

        return await self._sessions.first(sessions, check)

    async def _authorization(
        self, options: GitOptions, ctx: SourceContext
    ) -> list[tuple[str, str]]:
        """The header from a secret: one named for the host goes before the general one."""
        host = parse_url(options.remote).netloc.rpartition("@")[2]
        names = [
            (f"{name}{suffix}", token)
            for suffix in (f".{host}", "")
            for name, token in (
                (options.auth_header_secret, False),
                (options.auth_token_secret, True),
            )
            if name
        ]

        async def ask(session: Session) -> str:
            for name, token in names:
                try:
                    value = (await get_secret(session, name)).decode().strip()
                except NotFound:
                    continue
                return _basic(value) if token else value
            raise NotFound("no secret for the remote")

        if not names or not ctx.sessions:
            return []
        try:
            value = await self._sessions.first(ctx.sessions, ask)
        except NotFound:
            return []
        return [(f"http.{_scope(options.remote)}.extraheader", f"Authorization: {value}")]


def _writable(ctx: SourceContext) -> bool:
    return ctx.build.compatibility == compatibility.BUILDKIT_0_13


async def _put_back(repo: MutableRef) -> None:
    immutable = await repo.commit(retain=True)
    await immutable.release()


def _basic(token: str) -> str:
    return "basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _scope(remote: str) -> str:
    """Where the header is sent: the remote alone, or all of GitHub."""
    for prefix in ("https://github.com/", "https://www.github.com/"):
        if remote.startswith(prefix):
            return prefix
    return remote


async def _default_branch(git: Git, options: GitOptions) -> str:
    try:
        out = await git.run("ls-remote", "--symref", "--", options.shown, "HEAD")
    except GitFailed as err:
        raise err.wrap(f"error fetching default branch for repository {options.shown}") from err
    match = _DEFAULT_BRANCH.search(out)
    if match is None:
        raise NotFound(f"could not find default branch for repository: {options.shown}")
    return match.group()
