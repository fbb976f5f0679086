"""Definitions equal, byte for byte, those of BuildKit's own Go client (`client/llb`, at 73ed6825):
the digest of the last op of each, as that client gave it for linux/amd64."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from croze import llb
from croze.image.platform import parse as parse_platform
from croze.llb.definition import head
from croze.llb.graph import Defaults
from croze.llb.mounts import AnyMount
from croze.llb.state import State

ZERO = "sha256:" + "0" * 64
AMD64, ARM64 = parse_platform("linux/amd64"), parse_platform("linux/arm64")


def alpine() -> State:
    return llb.image("docker.io/library/alpine:3.20")


def sources() -> State:
    return llb.local("src", include=["*.c"], exclude=["x"], follow_paths=["a"])


def ran(state: State) -> State:
    return state.run(["true"]).root


def with_meta() -> State:
    state = alpine().add_env("A", "b").add_env("C", "d").dir("/src").user("1000").hostname("h")
    return ran(state.add_extra_host("e", "1.2.3.4").add_ulimit("nofile", 10, 20))


def with_mounts() -> State:
    mounts: list[AnyMount] = [
        llb.bind("/src", sources(), readonly=True),
        llb.cache("/root/.cache", "builds", sharing="locked"),
        llb.tmpfs("/tmp", size_bytes=64 << 20),
        llb.secret("token", "/run/secrets/token", uid=1, gid=2, mode=0o440),
        llb.secret("tok", env="TOKEN", optional=True),
        llb.ssh(optional=True),
    ]
    return alpine().run(["make"], mounts=mounts).root


def with_outputs() -> State:
    mounts = [llb.bind("/out", llb.scratch()), llb.bind("/o2", llb.scratch())]
    return alpine().run(["make"], mounts=mounts).mount("/o2")


def files() -> State:
    return llb.scratch().file(
        llb.mkdir("/etc/app", 0o755, parents=True)
        .mkfile("/etc/app/config", "debug = no\n", 0o640, owner=llb.owner("0:10"))
        .symlink("/etc/app/config", "/config")
        .copy(alpine(), "/etc/os-release", "/etc/", llb.CopyOptions(follow_symlinks=True))
        .rm("/tmp/*", allow_not_found=True, allow_wildcard=True)
    )


def copied() -> State:
    options = llb.CopyOptions(
        wildcard=True,
        create_dest=True,
        dir_contents=True,
        unpack=True,
        include=("i",),
        exclude=("e",),
        empty_wildcard=True,
    )
    return alpine().file(llb.copy(sources(), "/a*", "/b/", options))


def merged() -> State:
    return llb.merge([alpine(), ran(alpine()), llb.scratch().file(llb.mkfile("/a", "1", 0o644))])


GIT = "https://github.com/moby/buildkit.git"

BUILT: dict[str, tuple[Callable[[], State], str]] = {
    "image": (
        alpine,
        "sha256:52ad980af60eade03cf05fce2206c19483941c8d9a53f43a293199ac3344a235",
    ),
    "image-opts": (
        lambda: llb.image("alpine", resolve_mode="pull", layer_limit=2, checksum=ZERO),
        "sha256:d03ebf8cd1a58e25cfca94c86a485e478a3f0b33db1b3295b523c78075258a84",
    ),
    "local": (
        sources,
        "sha256:4a37f04432b930e599f02670ea7e67133fe1a8744ffa03c77af500c9b181d864",
    ),
    "git": (
        lambda: llb.git(GIT, "v0.20.0", subdir="docs", mtime="commit"),
        "sha256:8e060404348ac1ca0568998b958e766f9e49820225228bdbd8557a18b37d3fd3",
    ),
    "git-keep": (
        lambda: llb.git(GIT, "v0.20.0", keep_git_dir=True, skip_submodules=True),
        "sha256:9b71377e41644f3fa7f06e7cbb210cc48edb46f69ace15681ffd71ab2cacfbcb",
    ),
    "git-ssh": (
        lambda: llb.git("git@github.com:moby/buildkit.git", "main", known_ssh_hosts="x y\n"),
        "sha256:01bfdd366ae89e20d95f51cabb7f668ebfdef383f696b3c4d67fe70ef752342c",
    ),
    "http": (
        lambda: llb.http(
            "https://example.com/tool.tar.gz",
            checksum=ZERO,
            filename="tool.tgz",
            mode=0o640,
            uid=1,
            gid=2,
        ),
        "sha256:6e0a2b090ad924e986d12787adc8108619d9e7ceaf4ac411e74506619f17ad84",
    ),
    "layout": (
        lambda: llb.oci_layout("example.com/a@" + ZERO, session="sess", store="store"),
        "sha256:8e97fd4db311aee5dbeb310bce177e6c9a65daf6f44c6efdb7e864ca3e0742c7",
    ),
    "run": (
        lambda: ran(alpine()),
        "sha256:63a486de233741483cbbc5e103c824d73e4008a635f327d36759aee551231119",
    ),
    "run-state": (
        with_meta,
        "sha256:09e1aa1b86c6774cd57dec0bfb1e3c447f98bb064a8ae08cce40677af820be54",
    ),
    "run-net": (
        lambda: alpine().run(["true"], network="none", valid_exit_codes=[0, 2]).root,
        "sha256:eb637155c3d71b94d1aa36c93e2fb60227ddbf7a115d22d8372af348051d1e50",
    ),
    "run-host": (
        lambda: alpine().run(["true"], network="host", security="insecure").root,
        "sha256:85976d09a9832f6212450779f332788c83d1ee191f017222a148bbea3ed2d954",
    ),
    "run-mounts": (
        with_mounts,
        "sha256:3026d7da61d96bfdb38e692a1ee93b0687ff98e31123e735ec7349c6e599c65c",
    ),
    "run-out": (
        with_outputs,
        "sha256:e98d31d469205de318b8437e26dc34ddc751ebe28ab76cee83bad4e84574ae96",
    ),
    "file": (
        files,
        "sha256:4d025ae723407bf3a25bc73f3fd811635af88629dd97cd2d7de4458d449ff670",
    ),
    "file-user": (
        lambda: alpine().dir("/w").file(llb.mkdir("d", 0o700, owner=llb.owner("bob:staff"))),
        "sha256:030958614c2a96836ba73a6e6ed0951af5ce3a9b8132307dc03b5c9e3a48871d",
    ),
    "copy": (
        copied,
        "sha256:1e2e13e417a51c0375650bdfea7c6e67116cb2d2eae0d059acee9c0b0b5302fd",
    ),
    "merge": (
        merged,
        "sha256:8a5a7983dffc2e2934983134f247e8984bc03767885a726b720b1b31a62f8985",
    ),
    "diff": (
        lambda: llb.diff(alpine(), ran(alpine())),
        "sha256:fd21382b8920d1820a6c304b091dc3cb4637a6d482b3229cfabf161e7b8d5e49",
    ),
    "platform": (
        lambda: ran(llb.image("alpine", platform=ARM64).platform(ARM64)),
        "sha256:eb43e8f039c5fcdfe3b577308c264b6a472bb638bb9d6e5a4ec2cf6c3fb07b37",
    ),
}


@pytest.mark.parametrize("name", BUILT)
def test_the_go_client_gives_the_same(name: str) -> None:
    state, digest = BUILT[name]
    definition = state().marshal(Defaults(platform=AMD64, unique_id="u"))
    assert head(definition) == digest
