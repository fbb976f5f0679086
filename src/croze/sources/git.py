"""`git://`: a commit's files, or a clone, from a remote repository.

One bare repository for each remote is kept between builds and fetched into. Source of the rules:
BuildKit `source/git`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from croze.errors import AlreadyExists, CrozeError, InvalidRequest, NotFound, Unsupported
from croze.session import ssh
from croze.session.contract import Session, SessionManager
from croze.session.secrets import get_secret
from croze.sources.content import Locks
from croze.sources.contract import Source, SourceContext, SourceKey, SourceRequest
from croze.sources.git_checkout import check_out
from croze.sources.git_cli import Git, GitFailed, is_commit
from croze.sources.git_options import (
    GitCommit,
    GitOptions,
    checked,
    choose,
    git_key,
    parse_options,
    pinned,
)
from croze.store.contract import ImmutableRef, MutableRef, RefStore

SCHEME = "git"

_REMOTE, _SNAPSHOT = "git_remote", "git_snapshot"
_DEFAULT_BRANCH = re.compile(r"refs/heads/\S+")


class GitSource:
    """One checkout for one vertex; resolved once."""

    def __init__(self, options: GitOptions, owner: GitSources) -> None:
        self._options = options
        self._owner = owner
        self._found: GitCommit | None = None

    async def resolve(self, ctx: SourceContext) -> GitCommit:
        """Which commit it is."""
        if self._found is None:
            self._found = await self._owner.resolve(self._options, ctx)
        return self._found

    async def commit_time(self, ctx: SourceContext) -> int:
        """Unix seconds of the commit; fetches it."""
        found = await self.resolve(ctx)
        async with self._owner.fetched(self._options, found, ctx) as git:
            return int(await git.run("show", "-s", "--format=%ct", f"{found.commit}^{{commit}}"))

    async def key(self, ctx: SourceContext, index: int) -> SourceKey:
        """See `Source.key`."""
        found = await self.resolve(ctx)
        return SourceKey(git_key(self._options, found), pin=found.object)

    async def snapshot(self, ctx: SourceContext) -> ImmutableRef | None:
        """See `Source.snapshot`."""
        return await self._owner.snapshot(self._options, await self.resolve(ctx), ctx)


class GitSources:
    """Opens `git://`."""

    schemes = (SCHEME,)

    def __init__(self, refs: RefStore, sessions: SessionManager) -> None:
        self._refs = refs
        self._sessions = sessions
        self._locks = Locks()

    def open(self, request: SourceRequest) -> Source:
        return self.open_git(request)

    def open_git(self, request: SourceRequest) -> GitSource:
        """The same with more to ask it."""
        return GitSource(parse_options(request), self)

    # -- resolving ---------------------------------------------------------------------------

    async def resolve(self, options: GitOptions, ctx: SourceContext) -> GitCommit:
        """Ask the remote, unless the reference is a commit. Raises `NotFound`."""
        if is_commit(options.ref):
            if options.checksum and not options.ref.startswith(options.checksum):
                raise InvalidRequest(
                    f"expected checksum to match {options.checksum}, got {options.ref}"
                )
            return GitCommit(options.ref, options.ref, options.ref)
        if options.fetch_by_commit:
            return pinned(options)
        async with self._client(options, ctx) as git:
            ref = options.ref or await _default_branch(git, options)
            try:
                out = await git.run("ls-remote", "--", options.remote, ref, f"{ref}^{{}}")
            except GitFailed as err:
                raise err.wrap(f"failed to fetch remote {options.shown}") from err
        return checked(choose(ref, out), options)

    # -- fetching ----------------------------------------------------------------------------

    async def snapshot(
        self, options: GitOptions, found: GitCommit, ctx: SourceContext
    ) -> ImmutableRef:
        """The checkout, made unless an earlier one is here."""
        name = f"{options.remote}#{git_key(options, found)}"
        async with self._locks.hold(name):
            for id in self._refs.find(**{_SNAPSHOT: name}):
                try:
                    return await self._refs.get(id)
                except NotFound:
                    continue
            async with self.fetched(options, found, ctx) as git:
                return await self._check_out(git, options, found, name)

    async def _check_out(
        self, git: Git, options: GitOptions, found: GitCommit, name: str
    ) -> ImmutableRef:
        ref = await self._refs.new(
            None,
            description=f"git snapshot for {options.shown}#{found.ref}",
            record_type="source.git.checkout",
        )
        try:
            async with ref.mounted(readonly=False) as root:
                await check_out(
                    git,
                    str(root),
                    ref=found.ref,
                    object=found.object,
                    remote=options.remote,
                    shown=options.shown,
                    subdir=options.subdir,
                    keep_git_dir=options.keep_git_dir,
                    submodules=not options.skip_submodules,
                    commit_mtime=options.mtime == "commit",
                )
            done = await ref.commit()
        except BaseException:
            await asyncio.shield(ref.release())
            raise
        done.set_meta(**{_SNAPSHOT: name})
        return done

    @asynccontextmanager
    async def fetched(
        self, options: GitOptions, found: GitCommit, ctx: SourceContext
    ) -> AsyncIterator[Git]:
        """The remote's bare repository, with the commit in it; nobody else uses it meanwhile."""
        async with self._locks.hold(options.remote), self._client(options, ctx) as git:
            sha256 = len(found.object) == 64
            repo = await self._repository(options.remote, options.shown)
            try:
                async with repo.mounted(readonly=False) as root:
                    bare = git.within(git_dir=str(root))
                    await _prepare(bare, options, sha256=sha256)
                    await _fetch(bare, options, found)
                    yield bare
            finally:
                await asyncio.shield(_put_back(repo))

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
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="croze-hosts-"))
                hosts = os.path.join(folder, "known_hosts")
                await asyncio.to_thread(Path(hosts).write_text, options.known_hosts)
            yield Git(
                config=await self._authorization(options, ctx),
                ssh_socket=socket,
                known_hosts=hosts,
                log=lambda data: ctx.progress.log(2, data),
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
        host = urlsplit(options.remote).netloc.rpartition("@")[2]
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


async def _put_back(repo: MutableRef) -> None:
    kept = await repo.commit(retain=True)
    await kept.release()


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
        out = await git.run("ls-remote", "--symref", "--", options.remote, "HEAD")
    except GitFailed as err:
        raise err.wrap(f"error fetching default branch for repository {options.shown}") from err
    found = _DEFAULT_BRANCH.search(out)
    if found is None:
        raise NotFound(f"could not find default branch for repository: {options.shown}")
    return found.group()


async def _prepare(git: Git, options: GitOptions, *, sha256: bool) -> None:
    """Make the bare repository if it is not one yet; drop what a killed git left."""
    if os.path.exists(os.path.join(git.git_dir, "HEAD")):
        for name in ("shallow.lock", "index.lock"):
            if os.path.exists(path := os.path.join(git.git_dir, name)):
                os.unlink(path)
        return
    kind = ["--object-format=sha256"] if sha256 else []
    await git.run("-c", "init.defaultBranch=master", "init", "--bare", *kind)
    await git.run("remote", "add", "origin", options.remote)


async def _has(git: Git, object: str) -> bool:
    try:
        await git.run("cat-file", "-e", object)
    except GitFailed:
        return False
    return True


async def _fetch(git: Git, options: GitOptions, found: GitCommit) -> None:
    """The commit alone, without its history; by its name, since servers always give those."""
    quiet = Git(git_dir=git.git_dir)
    if await _has(quiet, found.object):
        return
    by_name = not options.fetch_by_commit and found.ref.startswith("refs/")
    # Under a name of ours, as the remote's may come to clash with each other.
    own = f"refs/croze/{hashlib.sha256(found.ref.encode()).hexdigest()[:24]}"
    wanted = f"+{found.ref}:{own}" if by_name else found.object
    try:
        await git.run("fetch", "--depth=1", "--no-tags", "origin", wanted)
        if not await _has(quiet, found.object):
            # The name has moved on since it was resolved.
            await git.run("fetch", "--depth=1", "--no-tags", "origin", found.object)
    except GitFailed as err:
        raise err.wrap(f"failed to fetch remote {options.shown}") from err
    if not await _has(quiet, found.object):
        raise CrozeError(
            f"fetched ref {found.ref} does not match expected commit {found.object} and commit "
            "can not be found in the repository"
        )
