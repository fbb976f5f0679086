"""Commits and tags that somebody signed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from croze.errors import CrozeError, InvalidRequest
from croze.signatures.gitobject import parse
from croze.sources.git.source import GitSources
from tests.signatures.gnupg import GnuPG, ssh_key
from tests.sources.git_servers import Remote, files, remote, server, source, sources
from tests.sources.rig import Rig

__all__ = ["remote", "server", "sources"]

pytestmark = pytest.mark.root

USER = "a@b"


@pytest.fixture
def gnupg(tmp_path: Path) -> Iterator[GnuPG]:
    made = GnuPG(tmp_path / "gnupg")
    yield made
    made.close()


async def check(
    rig: Rig,
    sources: GitSources,
    remote: Remote,
    fragment: str,
    attrs: Mapping[str, str],
) -> str:
    sig_attrs = {f"sig.{key}": value for key, value in attrs.items()}
    return (await source(sources, remote, fragment, sig_attrs).key(rig.source_context(), 0)).key


@pytest.mark.parametrize("format", ["sha1", "sha256"])
async def test_by_pgp(
    rig: Rig,
    sources: GitSources,
    server: tuple[Path, str],
    gnupg: GnuPG,
    format: str,
) -> None:
    base, url = server
    remote = Remote(base / format, f"{url}/{format}", f"--object-format={format}")
    key = gnupg.key(f"me <{USER}>").decode()
    other = gnupg.key("other@example.com").decode()
    remote.git("config", "user.signingkey", USER)
    ring = gnupg.environment
    unsigned = remote.commit({"a": "0"})
    remote.git("tag", "-a", "-m", "t", "plain")
    remote.git("tag", "-s", "-m", "t\n\nlines", "sealed", environment=ring)
    (remote.folder / "a").write_text("1")
    remote.git("commit", "-q", "-S", "-a", "-m", "sealed\n\nlines", environment=ring)
    signed = remote.git("rev-parse", "HEAD")
    remote.git("tag", "-a", "-m", "t", "about-sealed")

    async def ask(fragment: str, **attrs: str) -> str:
        return await check(rig, sources, remote, fragment, attrs)

    assert await ask("#main", pubkey=key) == signed
    assert await ask(f"#{signed}", pubkey=key, rejectexpired="true") == signed
    assert await ask("#sealed", pubkey=key) == unsigned
    assert await ask("#sealed", pubkey=key, requiresignedtag="true") == unsigned
    assert await ask("#about-sealed", pubkey=key) == signed
    for fragment, attrs, message in (
        ("#main", {"pubkey": other}, "openpgp: signature made by unknown entity"),
        ("#plain", {"pubkey": key}, "git object is not signed"),
        ("#sealed", {"pubkey": key, "ignoresignedtag": "true"}, "git object is not signed"),
        (f"#{unsigned}", {"pubkey": key}, "git object is not signed"),
        ("#main", {"pubkey": key, "requiresignedtag": "true"}, "no signed tag found"),
        ("#about-sealed", {"pubkey": key, "requiresignedtag": "true"}, "git object is not signed"),
        ("#main", {"requiresignedtag": "false"}, "failed to read armored public key"),
    ):
        with pytest.raises(CrozeError, match=message):
            await ask(fragment, **attrs)
    found = source(sources, remote, "#sealed", {"sig.pubkey": key})
    objects = await found.objects(rig.source_context())
    assert objects.commit.startswith(b"tree ")
    assert objects.tag.startswith(b"object ")
    assert await files(await found.snapshot(rig.source_context())) == {"a": "0"}


async def test_by_ssh(rig: Rig, sources: GitSources, remote: Remote, tmp_path: Path) -> None:
    key = ssh_key(tmp_path, "ed25519")
    remote.git("config", "gpg.format", "ssh")
    remote.git("config", "user.signingkey", str(key))
    commit = remote.commit({"a": "1"}, "-S")
    remote.git("tag", "-s", "-m", "t", "sealed")
    public = key.with_suffix(".pub").read_text()
    for fragment, more in (("#main", {}), ("#sealed", {"requiresignedtag": "true"})):
        attrs = {"pubkey": public, **more}
        assert await check(rig, sources, remote, fragment, attrs) == commit
    other = ssh_key(tmp_path, "ed25519", "other").with_suffix(".pub").read_text()
    with pytest.raises(CrozeError, match="public key does not match"):
        await check(rig, sources, remote, "#main", {"pubkey": other})


def test_objects_that_are_none() -> None:
    with pytest.raises(InvalidRequest, match="invalid commit object: missing author header"):
        parse(b"tree 1\ncommitter x\n\nm")
    with pytest.raises(InvalidRequest, match="invalid tag object: missing tagger header"):
        parse(b"object 1\ntype commit\ntag x\n\nm")
