"""Remotes that ask who is there: over HTTP with secrets, over SSH with an agent."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from croze.errors import CrozeError
from croze.session.providers.secrets import SecretSource, SecretsProvider
from croze.session.providers.ssh import AgentSource, SshProvider
from croze.sources.git.source import GitSources
from tests.registry.servers import serve
from tests.signatures.gnupg import ssh_key
from tests.sources.git_servers import HttpBackend, Remote, files, source, sources, ssh_server
from tests.sources.rig import Rig
from tests.sources.troubles import busy, reset, truncated

__all__ = ["sources"]

pytestmark = pytest.mark.root


def secrets(**values: str) -> SecretsProvider:
    return SecretsProvider([SecretSource(id, value=text.encode()) for id, text in values.items()])


async def test_with_a_token_or_a_header(rig: Rig, sources: GitSources, tmp_path: Path) -> None:
    backend = HttpBackend(tmp_path / "repos", "let-me-in")
    remote = Remote(tmp_path / "repos" / "app", "")
    commit = remote.commit({"a": "1"})
    header = "basic " + base64.b64encode(b"x-access-token:let-me-in").decode()
    named = {"authtokensecret": "TOKEN", "authheadersecret": "HEADER"}
    async with serve(backend.app) as host:
        remote.url = f"http://{host}/app/.git"
        for lent in (
            {"TOKEN": "let-me-in\n"},
            {"HEADER": header},
            {f"TOKEN.{host}": "let-me-in", "TOKEN": "wrong"},
            {"HEADER": header, "TOKEN": "wrong"},
        ):
            async with rig.client(secrets(**lent)) as session:
                ctx = rig.source_context(session.id)
                found = source(sources, remote, "#main", named)
                assert (await found.key(ctx, 0)).key == commit
                assert await files(await found.snapshot(ctx)) == {"a": "1"}
        for lent in ({"TOKEN": "wrong"}, {}):
            async with rig.client(secrets(**lent)) as session:
                ctx = rig.source_context(session.id)
                with pytest.raises(CrozeError, match="failed to fetch remote"):
                    await source(sources, remote, "#main", named).key(ctx, 0)
    assert not any(b"let-me-in" in line for line in rig.progress.logs)


async def test_a_private_submodule(rig: Rig, sources: GitSources, tmp_path: Path) -> None:
    """The credentials are for what is below the remote, and nobody else gets them."""
    base = tmp_path / "repos"
    backend, stranger = HttpBackend(base, "let-me-in"), HttpBackend(base)
    remote = Remote(base / "top", "")
    Remote(base / "top" / "private", "").commit({"p": "private"})
    Remote(base / "top" / "free", "").commit({"f": "free"})
    async with serve(backend.app) as host, serve(stranger.app) as elsewhere:
        remote.url = f"http://{host}/top"
        urls = {"private": f"{remote.url}/private", "free": f"http://{elsewhere}/top/free"}
        modules = (
            f'[submodule "{name}"]\n\tpath = {name}\n\turl = {url}\n' for name, url in urls.items()
        )
        remote.commit({".gitmodules": "".join(modules)})
        async with rig.client(secrets(TOKEN="let-me-in")) as session:
            ctx = rig.source_context(session.id)
            found = source(sources, remote, "#main", {"authtokensecret": "TOKEN"})
            assert set(await files(await found.snapshot(ctx))) == {
                *(".gitmodules", "private/p", "free/f")
            }
    assert set(stranger.asked) == {""}


async def test_over_ssh(rig: Rig, sources: GitSources, tmp_path: Path) -> None:
    remote = Remote(tmp_path / "repos" / "app", "")
    commit = remote.commit({"a": "1"})
    key = ssh_key(tmp_path, "ed25519")
    with ssh_server(tmp_path, key.with_suffix(".pub")) as (port, host_keys):
        remote.url = f"ssh://root@127.0.0.1:{port}{remote.folder}/.git"
        agent = SshProvider([AgentSource(paths=(str(key),))])
        async with rig.client(agent) as session:
            ctx = rig.source_context(session.id)
            for attrs in (
                {"mountsshsock": "default"},
                {"mountsshsock": "default", "knownsshhosts": host_keys},
            ):
                ctx = rig.source_context(session.id)
                found = source(sources, remote, "#main", attrs)
                assert (await found.key(ctx, 0)).key == commit
                assert await files(await found.snapshot(ctx)) == {"a": "1"}
            ctx = rig.source_context(session.id)
            wrong = host_keys.replace("AAAAC3", "AAAAC4")
            impostor = {"mountsshsock": "default", "knownsshhosts": wrong}
            with pytest.raises(CrozeError, match="Host key verification failed"):
                await source(sources, remote, "#main", impostor).key(ctx, 0)
            with pytest.raises(CrozeError, match="unset ssh forward key other"):
                await source(sources, remote, "#main", {"mountsshsock": "other"}).key(ctx, 0)
        agent.close()
        async with rig.client(secrets()) as session:
            ctx = rig.source_context(session.id)
            with pytest.raises(CrozeError, match='no SSH key "default" forwarded from the client'):
                await source(sources, remote, "#main", {"mountsshsock": "default"}).key(ctx, 0)


async def test_a_flaky_server(rig: Rig, sources: GitSources, tmp_path: Path) -> None:
    backend = HttpBackend(tmp_path / "repos")
    remote = Remote(tmp_path / "repos" / "app", "")
    commit = remote.commit({"a": "1"})
    ctx = rig.source_context()
    async with serve(backend.app) as host:
        remote.url = f"http://{host}/app"
        backend.faults = [busy, reset]
        found = source(sources, remote, "#main")
        assert (await found.key(ctx, 0)).key == commit
        backend.faults = [busy, truncated]
        assert await files(await found.snapshot(ctx)) == {"a": "1"}
        assert backend.faults == []
        backend.faults = [busy] * 9
        ctx = rig.source_context()
        with pytest.raises(CrozeError, match="The requested URL returned error: 503"):
            await source(sources, remote, "#main").key(ctx, 0)
