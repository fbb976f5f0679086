"""Against git's own server."""

from __future__ import annotations

from pathlib import Path

import pytest

from croze.compatibility import BUILDKIT_0_13
from croze.errors import CrozeError, InvalidRequest, NotFound
from croze.fs.remove import remove_tree
from croze.sources.git import checkout as git_checkout
from croze.sources.git.cli import Git
from croze.sources.git.fetch import prepare
from croze.sources.git.options import GitOptions, git_key, parse_options
from croze.sources.git.source import GitSources
from croze.sources.request import SourceRequest
from croze.sources.resolutions import GitCommit
from tests.sources.git_servers import Remote, files, remote, server, source, sources
from tests.sources.rig import Rig
from tests.support.threads import are_beside_the_loop, calling_threads

__all__ = ["remote", "server", "sources"]

pytestmark = pytest.mark.root


async def test_branches_tags_and_commits(rig: Rig, sources: GitSources, remote: Remote) -> None:
    ctx = rig.source_context()
    first = remote.commit({"a": "1", "sub/b": "2"})
    remote.git("tag", "light")
    remote.git("tag", "-a", "-m", "t", "heavy")
    tag = remote.git("rev-parse", "heavy")
    second = remote.commit({"a": "changed"})
    default = source(sources, remote)
    assert (await default.key(ctx, 0)).key == second
    assert await files(await default.snapshot(ctx)) == {"a": "changed", "sub/b": "2"}
    for fragment in ("#light", "#heavy", f"#{first}", "#refs/tags/light"):
        found = source(sources, remote, fragment)
        assert (await found.key(ctx, 0)).key == first
        assert await files(await found.snapshot(ctx)) == {"a": "1", "sub/b": "2"}
    assert (await source(sources, remote, "#heavy").key(ctx, 0)).pin == tag
    assert await source(sources, remote, "#main").commit_time(ctx) == 1_600_000_000
    third = remote.commit({"a": "third"})
    # The build goes on with what it found first; the next one sees the branch as it is now.
    same = source(sources, remote, "#main", {"keepgitdir": "true"})
    assert (await same.key(ctx, 0)).pin == second
    expected = source(sources, remote, "#main", {"checksum": third})
    assert (await expected.key(ctx, 0)).pin == third
    ctx = rig.source_context()
    moved = source(sources, remote, "#main")
    assert (await moved.key(ctx, 0)).key == third
    assert (await files(await moved.snapshot(ctx)))["a"] == "third"


async def test_a_subdirectory(rig: Rig, sources: GitSources, remote: Remote) -> None:
    commit = remote.commit({"a": "1", "sub/deep/b": "2", "sub/c": "3"})
    ctx = rig.source_context()
    found = source(sources, remote, "#main:sub", {"mtime": "commit"})
    assert (await found.key(ctx, 0)).key == f"{commit}:sub(mtime=commit)"
    ref = await found.snapshot(ctx)
    assert ref is not None
    async with ref.mounted(readonly=True) as root:
        assert (root / "c").stat().st_mtime == 1_600_000_000
    assert await files(ref) == {"deep/b": "2", "c": "3"}
    with pytest.raises(NotFound, match="invalid subdir nothing"):
        await source(sources, remote, "#main:nothing").snapshot(ctx)
    with pytest.raises(InvalidRequest, match="invalid subdir a"):
        await source(sources, remote, "#main:a").snapshot(ctx)


async def test_a_clone(rig: Rig, sources: GitSources, remote: Remote) -> None:
    commit = remote.commit({"a": "1"})
    ctx = rig.source_context()
    for fragment in ("#main", f"#{commit}"):
        found = source(sources, remote, fragment, {"keepgitdir": "true"})
        ref = await found.snapshot(ctx)
        assert ref is not None
        async with ref.mounted(readonly=True) as root:
            git = Git(git_dir=str(root / ".git"), work_tree=str(root))
            assert (await git.run("rev-parse", "HEAD")).strip() == commit
            assert (await git.run("remote", "get-url", "origin")).strip() == remote.url
        await ref.release()
    key = (await source(sources, remote, "#main", {"keepgitdir": "true"}).key(ctx, 0)).key
    assert key == f"{commit}.git#refs/heads/main"


async def test_a_clone_knows_what_was_asked_for(
    rig: Rig, sources: GitSources, remote: Remote
) -> None:
    """As a branch and as a tag, so that `git describe --tags` says the same as with BuildKit."""
    commit = remote.commit({"a": "1"})
    remote.git("tag", "light")
    remote.git("tag", "-a", "-m", "t", "heavy")
    expected = {
        "": ["refs/heads/main", "refs/tags/main"],
        "#light": ["refs/heads/light", "refs/tags/light"],
        "#heavy": ["refs/tags/heavy"],
        f"#{commit}": [],
    }
    for fragment, names in expected.items():
        found = source(sources, remote, fragment, {"keepgitdir": "true"})
        ref = await found.snapshot(rig.source_context())
        assert ref is not None
        async with ref.mounted(readonly=True) as root:
            git = Git(git_dir=str(root / ".git"), work_tree=str(root))
            listed = await git.run("for-each-ref", "--format=%(refname)")
        await ref.release()
        assert listed.split() == names


async def test_submodules(
    rig: Rig, sources: GitSources, remote: Remote, server: tuple[Path, str]
) -> None:
    base, url = server
    Remote(base / "module", f"{url}/module").commit({"m": "module"})
    remote.commit({"a": "1"})
    remote.git("submodule", "add", "-q", f"{url}/module", "mod")
    remote.git("commit", "-q", "-m", "module")
    ctx = rig.source_context()
    with_module = await files(await source(sources, remote).snapshot(ctx))
    assert set(with_module) == {"a", ".gitmodules", "mod/m"}
    said = b"".join(rig.progress.logs).decode()
    assert "ref: refs/heads/main\tHEAD\n" in said
    assert f"{remote.git('rev-parse', 'HEAD')}\trefs/heads/main\n" in said
    assert "Submodule path 'mod': checked out '" in said
    skipping = source(sources, remote, "", {"skipsubmodules": "true"})
    assert set(await files(await skipping.snapshot(ctx))) == {"a", ".gitmodules"}
    allow = ("-c", "protocol.file.allow=always")
    remote.git(*allow, "submodule", "add", "-q", f"file://{base}/module", "ours")
    remote.git("commit", "-q", "-m", "reaches into the machine")
    with pytest.raises(CrozeError, match="transport 'file' not allowed"):
        await source(sources, remote).snapshot(rig.source_context())
    assert [r for r in await rig.store.refs.disk_usage() if r.in_use] == []


async def test_a_submodule_that_was_another_repository(
    rig: Rig, sources: GitSources, remote: Remote, server: tuple[Path, str]
) -> None:
    """Any branch, of anybody's, can give a name to a repository that lacks what others want."""
    base, url = server
    for name in ("mine", "yours"):
        Remote(base / name, f"{url}/{name}").commit({"m": name})
    remote.commit({"a": "1"})
    remote.git("checkout", "-q", "-b", "hostile")
    remote.git("submodule", "add", "-q", f"{url}/yours", "mod")
    remote.git("commit", "-q", "-m", "hostile")
    remote.git("checkout", "-q", "--force", "main")
    remove_tree(remote.folder / "mod")
    remove_tree(remote.folder / ".git/modules")
    remote.git("config", "--remove-section", "submodule.mod")
    remote.git("submodule", "add", "-q", f"{url}/mine", "mod")
    remote.git("commit", "-q", "-m", "honest")
    for ref, content in (("hostile", "yours"), ("main", "mine"), ("hostile", "yours")):
        snapshot = await source(sources, remote, f"#{ref}").snapshot(rig.source_context())
        assert (await files(snapshot))["mod/m"] == content


async def test_a_submodule_that_was_to_be_left_out(
    rig: Rig, sources: GitSources, remote: Remote, server: tuple[Path, str]
) -> None:
    """Any branch, of anybody's, can say so of a name; of its own modules' modules, too."""
    base, url = server
    Remote(base / "inner", f"{url}/inner").commit({"i": "inner"})
    outer = Remote(base / "outer", f"{url}/outer")
    outer.git("submodule", "add", "-q", f"{url}/inner", "in")
    outer.commit({"o": "outer"})
    outer.git("checkout", "-q", "-b", "hostile")
    outer.git("config", "--file", ".gitmodules", "submodule.in.update", "none")
    hostile = outer.commit({})
    outer.git("checkout", "-q", "main")
    remote.commit({"a": "1"})
    remote.git("submodule", "add", "-q", f"{url}/outer", "mod")
    remote.git("commit", "-q", "-m", "honest")
    remote.git("checkout", "-q", "-b", "inside")
    remote.git("-C", "mod", "checkout", "-q", hostile)
    remote.commit({})
    remote.git("checkout", "-q", "-b", "outside")
    remote.git("config", "--file", ".gitmodules", "submodule.mod.update", "none")
    remote.commit({})
    expected = {
        "outside": {"a", ".gitmodules"},
        "inside": {"a", ".gitmodules", "mod/o", "mod/.gitmodules"},
        "main": {"a", ".gitmodules", "mod/o", "mod/.gitmodules", "mod/in/i"},
    }
    for ref, paths in expected.items():
        snapshot = await source(sources, remote, f"#{ref}").snapshot(rig.source_context())
        assert set(await files(snapshot)) == paths, ref


async def test_modes_as_before_buildkit_0_15(rig: Rig, sources: GitSources, remote: Remote) -> None:
    remote.commit({"a": "1", "run": "2"})
    (remote.folder / "run").chmod(0o755)
    remote.git("commit", "-q", "-a", "-m", "x")
    for version, modes in ((10, (0o666, 0o755)), (0, (0o644, 0o755))):
        ctx = rig.source_context(compatibility=version)
        ref = await source(sources, remote).snapshot(ctx)
        assert ref is not None
        async with ref.mounted(readonly=True) as root:
            assert tuple((root / n).stat().st_mode & 0o777 for n in ("a", "run")) == modes
        await ref.release()


async def test_trees_of_any_size_hold_up_nobody(
    rig: Rig, sources: GitSources, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes through a whole tree does not do so where all builds are served."""
    names = ("_lift", "_let_all_write", "_set_times")
    threads = [calling_threads(monkeypatch, git_checkout, name) for name in names]
    remote.commit({"sub/a": "1", "b": "2"})
    ctx = rig.source_context(compatibility=BUILDKIT_0_13)
    found = source(sources, remote, "#main:sub", {"mtime": "commit"})
    assert await files(await found.snapshot(ctx)) == {"a": "1"}
    assert all(map(are_beside_the_loop, threads))


async def test_checksums(rig: Rig, sources: GitSources, remote: Remote) -> None:
    commit = remote.commit({"a": "1"})
    ctx = rig.source_context()
    good = source(sources, remote, "#main", {"checksum": commit[:12]})
    assert (await good.key(ctx, 0)).key == commit
    with pytest.raises(CrozeError, match=f"expected checksum to match abcdef, got {commit}"):
        await source(sources, remote, "#main", {"checksum": "abcdef"}).key(ctx, 0)
    pinned = {"checksum": commit, "fetchbycommit": "true"}
    exact = source(sources, remote, "#main", pinned)
    assert (await exact.key(ctx, 0)).key == commit
    with pytest.raises(InvalidRequest, match="expected hex commit hash"):
        source(sources, remote, "#main", {"checksum": "xyz"})


async def test_what_is_not_there(rig: Rig, sources: GitSources, remote: Remote) -> None:
    remote.commit({"a": "1"})
    ctx = rig.source_context()
    with pytest.raises(NotFound, match='repository does not contain ref nope, output: ""'):
        await source(sources, remote, "#nope").key(ctx, 0)
    remote.url += "-gone"
    with pytest.raises(CrozeError, match=f"failed to fetch remote {remote.url}: git stderr:"):
        await source(sources, remote, "#main").key(ctx, 0)
    with pytest.raises(InvalidRequest, match='invalid git ref "--upload-pack=x"'):
        source(sources, remote, "#--upload-pack=x")


def test_keys() -> None:
    sha = "0123456789abcdef0123456789abcdef01234567"
    options = GitOptions(
        "https://example.invalid/repo.git",
        sha,
        "d",
        keep_git_dir=True,
        skip_submodules=True,
        mtime="commit",
    )
    assert git_key(options, GitCommit(sha, sha, sha)) == (
        f"{sha}.git#{sha}:d(skip-submodules)(mtime=commit)"
    )


def test_remotes() -> None:
    def remote(identifier: str, url: str = "") -> str:
        attrs = {"git.fullurl": url} if url else {}
        return parse_options(SourceRequest(identifier, attrs)).remote

    assert remote("git://github.com/a/b.git#main:x") == "https://github.com/a/b.git"
    assert remote("git://h/a", "git@h:a") == "git@h:a"
    assert remote("git://h/a", "ssh://git@h/a") == "ssh://git@h/a"
    assert GitOptions("https://u:secret@h/a").shown == "https://xxxxx:xxxxx@h/a"
    assert parse_options(SourceRequest("git://h/a#b:../../x", {})).subdir == "x"


async def test_what_a_killed_git_left_is_made_anew_or_removed(tmp_path: Path) -> None:
    options = parse_options(SourceRequest("git://host/app", {"git.fullurl": "git://host/app"}))
    git = Git(git_dir=str(tmp_path))
    for leftovers in (["HEAD", "config.lock"], ["HEAD", "config", "objects/x"]):
        for name in leftovers:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text("ref: refs/heads/master\n" if name == "HEAD" else "")
        await prepare(git, options, sha256=False)
        assert (await git.run("remote")).strip() == "origin"
        (tmp_path / "config").unlink()
    await prepare(git, options, sha256=False)
    own = tmp_path / "refs" / "croze" / "a.lock"
    own.parent.mkdir()
    own.touch()
    (tmp_path / "shallow.lock").touch()
    await prepare(git, options, sha256=False)
    assert not own.exists()
    assert not (tmp_path / "shallow.lock").exists()
