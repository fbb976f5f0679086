"""Repositories as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from croze.digests import digest_of
from croze.errors import CrozeError, InvalidRequest
from croze.image import reference
from croze.registry import push
from croze.registry.credentials import Anonymous
from croze.session.providers.content import ContentProvider
from croze.sources.git.source import GitSources
from tests.registry.blobs import Folder
from tests.sources.git_servers import Remote, files, remote, server, source, sources
from tests.sources.rig import Rig

__all__ = ["remote", "server", "sources"]

pytestmark = pytest.mark.root


async def uploaded(rig: Rig, host: str, content: Folder, bundle: bytes) -> str:
    """The bundle's locator."""
    blob = content.add(bundle, "a/b")
    repo = rig.registry.repository(reference.parse(f"{host}/bundles"), Anonymous())
    await push.push_blob(repo, blob, content.path(blob.digest))
    return f"docker-image+blob://{host}/bundles@{blob.digest}"


async def written(rig: Rig, sources: GitSources, remote: Remote, fragment: str) -> bytes:
    """A bundle as a source writes it."""
    found = source(sources, remote, fragment, {"checkoutbundle": "true"})
    ctx = rig.source_context()
    assert (await found.key(ctx, 0)).key.endswith("(bundle)")
    ref = await found.snapshot(ctx)
    assert ref is not None
    async with ref.mounted(readonly=True) as root:
        assert [p.name for p in root.iterdir()] == ["bundle"]
        data = (root / "bundle").read_bytes()
    await ref.release()
    return data


@pytest.mark.parametrize("format", ["sha1", "sha256"])
async def test_there_and_back(
    rig: Rig,
    sources: GitSources,
    server: tuple[Path, str],
    host: str,
    content: Folder,
    tmp_path: Path,
    format: str,
) -> None:
    base, url = server
    remote = Remote(base / format, f"{url}/{format}", f"--object-format={format}")
    ctx = rig.source_context()
    first = remote.commit({"a": "1"})
    remote.git("tag", "-a", "-m", "t", "v1")
    commit = remote.commit({"a": "2"})
    # Fetched without its history before: the bundle needs it all the same.
    assert await files(await source(sources, remote, "#main").snapshot(ctx)) == {"a": "2"}
    bundle = tmp_path / "made.bundle"
    for fragment in ("#main", f"#{commit}"):
        bundle.write_bytes(await written(rig, sources, remote, fragment))
        listing = remote.git("bundle", "list-heads", str(bundle))
        assert listing == f"{commit} refs/heads/main"
        remote.git("bundle", "verify", str(bundle))
    locator = await uploaded(rig, host, content, bundle.read_bytes())
    remote.url += "-is-gone"
    for fragment, checksum in (("", commit), ("#main", commit[:12]), (f"#{first}", first)):
        attrs = {"bundle": locator, "checksum": checksum}
        found = source(sources, remote, fragment, attrs)
        assert (await found.key(ctx, 0)).key in (commit, first)
        assert await files(await found.snapshot(ctx)) == {"a": "1" if first == checksum else "2"}
    clone = source(
        sources, remote, "#main", {"bundle": locator, "checksum": commit, "keepgitdir": "true"}
    )
    assert (await clone.key(ctx, 0)).key == f"{commit}.git#refs/heads/main"
    assert await files(await clone.snapshot(ctx)) == {"a": "2"}


async def test_tags(rig: Rig, sources: GitSources, remote: Remote, tmp_path: Path) -> None:
    commit = remote.commit({"a": "1"})
    remote.git("tag", "-a", "-m", "t", "v1")
    bundle = tmp_path / "own.bundle"
    remote.git("bundle", "create", str(bundle), "--all")
    digest = digest_of(bundle.read_bytes())
    blobs = tmp_path / "mine" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    bundle.rename(blobs / digest.removeprefix("sha256:"))
    attrs = {"bundle": f"oci-layout+blob://mine@{digest}", "checksum": commit}
    async with rig.client(ContentProvider({"oci:mine": tmp_path / "mine"})) as session:
        found = source(sources, remote, "#v1", attrs)
        ctx = rig.source_context(session.id)
        assert (await found.key(ctx, 0)).key == commit
        (blobs / digest.removeprefix("sha256:")).unlink()  # a build has it once
        assert await files(await found.snapshot(ctx)) == {"a": "1"}
        found, ctx = source(sources, remote, "#v1", attrs), rig.source_context(session.id)
        with pytest.raises(CrozeError, match="failed to fetch git bundle"):
            await found.key(ctx, 0)


async def test_what_is_wrong_with_a_bundle(
    rig: Rig, sources: GitSources, remote: Remote, host: str, content: Folder
) -> None:
    commit, ctx = remote.commit({"a": "1"}), rig.source_context()
    locator = await uploaded(rig, host, content, b"no bundle at all")
    found = source(sources, remote, "", {"bundle": locator, "checksum": commit})
    with pytest.raises(CrozeError, match="failed to import git bundle"):
        await found.snapshot(ctx)
    bundle = await uploaded(rig, host, content, await written(rig, sources, remote, ""))
    remote.url += "-other"
    other = source(sources, remote, "", {"bundle": bundle, "checksum": "0" * 40})
    with pytest.raises(CrozeError, match=f"commit {'0' * 40} not found in bundle"):
        await other.snapshot(ctx)
    gone = locator[:-8] + "00000000"
    with pytest.raises(CrozeError, match="failed to fetch git bundle"):
        await source(sources, remote, "", {"bundle": gone, "checksum": commit}).snapshot(ctx)


SUM = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("fragment", "attrs", "message"),
    [
        ("", {"bundle": f"docker-image+blob://x/y@{SUM}"}, "git.bundle requires git.checksum to"),
        ("", {"bundle": "nothing"}, 'failed to parse git.bundle locator "nothing": missing scheme'),
        ("", {"bundle": f"http://x/y@{SUM}"}, 'git.bundle locator scheme "http" is not supported;'),
        ("", {"bundle": "docker-image+blob://x/y:1"}, "invalid digest"),
        (
            "",
            {"bundle": f"docker-image+blob://x/y@sha512:{'0' * 128}"},
            'digest algorithm "sha512" not supported, expected "sha256"',
        ),
        (
            f"#{'1' * 40}",
            {"bundle": f"docker-image+blob://x/y@{SUM}", "checksum": "2" * 40},
            "expected checksum to match 2222",
        ),
        (
            "",
            {"checkoutbundle": "true", "keepgitdir": "true"},
            "git.checkoutbundle is incompatible with git.keepgitdir",
        ),
        (
            "#main:sub",
            {"checkoutbundle": "true"},
            "git.checkoutbundle is incompatible with git.subdir",
        ),
    ],
)
def test_bad_attributes(
    sources: GitSources, remote: Remote, fragment: str, attrs: Mapping[str, str], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        source(sources, remote, fragment, attrs)
