"""The frontend's options and addresses; more of them in the golden cases."""

from __future__ import annotations

import pytest

from croze.dockerfile.options import parse_options
from croze.dockerfile.paths import normalize_path, normalize_workdir
from croze.errors import InvalidRequest
from croze.image.platform import Platform
from croze.llb.gitref import parse_git_ref


def test_a_worker_decides_where_the_build_runs() -> None:
    arm = Platform("arm64", "linux")
    found = parse_options({"platform": "linux/amd64,linux/arm64/v8"}, [arm])
    assert list(found.build_platforms) == [arm]
    assert [p.architecture for p in found.target_platforms] == ["amd64", "arm64"]
    assert found.multi_platform


def test_steps_are_told_their_host_by_an_argument_or_an_attribute() -> None:
    argument = {"build-arg:BUILDKIT_SANDBOX_HOSTNAME": "argument"}
    assert parse_options({}).hostname == ""
    assert parse_options({"hostname": "attribute"}).hostname == "attribute"
    assert parse_options({"hostname": "attribute", **argument}).hostname == "argument"


@pytest.mark.parametrize(
    ("value", "stage", "ignored"),
    [(None, "a", False), ("", "a", True), ("", "", True), ("b,A", "a", True), ("b", "", False)],
)
def test_no_cache_names_stages_or_all(value: str | None, stage: str, ignored: bool) -> None:
    raw = {} if value is None else {"no-cache": value}
    assert parse_options(raw).ignores_cache(stage) is ignored


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"ulimit": "nofile=5:3"}, "failed to parse ulimit: ulimit soft limit must be less than"),
        ({"ulimit": "nofile"}, "failed to parse ulimit: invalid ulimit argument: nofile"),
        ({"shm-size": "1k"}, 'failed to parse shm size: strconv.ParseInt: parsing "1k": invalid'),
        ({"add-hosts": "a"}, "failed to parse additional hosts: invalid key-value pair a"),
        ({"memory": "0"}, "failed to parse resource limits: invalid memory value: 0: must be > 0"),
        ({"cpusetcpus": "3-1"}, 'invalid cpusetcpus value: 3-1: invalid cpuset range "3-1"'),
        ({"multi-platform": "x"}, "invalid boolean value for multi-platform: x"),
        ({"attest:vex": ""}, 'unknown attestation type "vex"'),
        ({"attest:sbom": "generator=A B"}, "failed to parse sbom generator A B: "),
        ({"attest:sbom": "generator="}, "sbom generator cannot be empty"),
        ({"cache-imports": "["}, 'failed to unmarshal cache-imports ("[")'),
        ({"override-copy-image": "x"}, 'support for "override-copy-image" was removed'),
        ({"build-arg:BUILDKIT_DOCKERFILE_CHECK": "x"}, "failed to parse build-arg:BUILDKIT_DOCK"),
    ],
)
def test_options_that_can_not_be_are_refused(raw: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_options(raw)
    assert message in str(caught.value)


def test_a_daemon_without_file_ops_is_too_old() -> None:
    with pytest.raises(InvalidRequest, match=r"needs BuildKit 0\.5 or later"):
        parse_options({}, has_cap=lambda cap: False)


def test_cache_imports_in_both_spellings() -> None:
    raw = {"cache-imports": '[{"Type":"local","Attrs":{"src":"/c"}}]', "cache-from": "a,b"}
    found = [(c.type, dict(c.attrs)) for c in parse_options(raw).cache_imports]
    assert found == [
        ("local", {"src": "/c"}),
        ("registry", {"ref": "a"}),
        ("registry", {"ref": "b"}),
    ]


def test_nothing_asked_for() -> None:
    found = parse_options({}, [Platform("amd64", "linux")])
    assert (found.network, found.resolve_mode, found.no_cache) == ("sandbox", "default", None)
    assert found.sbom is None
    assert found.resources is None


@pytest.mark.parametrize("text", ["./repo.git", "/path", "https://h.example/x", "github.com", "a"])
def test_what_is_no_git_address(text: str) -> None:
    assert parse_git_ref(text) is None


def test_a_git_address_with_all_there_is() -> None:
    query = "tag=v1&subdir=d&submodules=0&keep-git-dir&checksum=abc&mtime=commit"
    found = parse_git_ref(f"https://h.example/r.git?{query}")
    assert found is not None
    assert (found.remote, found.ref, found.subdir) == (
        "https://h.example/r.git",
        "refs/tags/v1",
        "d",
    )
    assert (found.submodules, found.keep_git_dir, found.checksum) == (False, True, "abc")
    assert found.mtime == "commit"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("x=1", 'unexpected query "x"'),
        ("ref=a&ref=b", 'query "ref" has multiple values'),
        ("ref=", 'query "ref" has no value'),
        ("tag=a&branch=b", "branch conflicts with tag"),
        ("submodules=maybe", 'invalid submodules value: "maybe"'),
    ],
)
def test_queries_of_git_addresses_are_refused_in_buildkits_words(query: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_git_ref(f"https://h.example/r.git?{query}")
    assert str(caught.value) == message


def test_a_path_that_could_be_local() -> None:
    found = parse_git_ref("github.com/a/b")
    assert found is not None
    assert found.maybe_local
    assert found.remote == "github.com/a/b"


@pytest.mark.parametrize(
    ("parent", "path", "os", "wanted"),
    [
        ("/a", "b/", "linux", "/a/b/"),
        ("/a", "/b/.", "linux", "/b/./."),
        ("", "b", "linux", "/b"),
        ("/a", "C:\\b\\", "windows", "/b/"),
        ("\\a", "b", "windows", "/a/b"),
    ],
)
def test_paths_are_those_of_the_images_system(parent: str, path: str, os: str, wanted: str) -> None:
    assert normalize_path(parent, path, os, keep_slash=True) == wanted


def test_windows_paths_stay_on_the_system_drive() -> None:
    assert normalize_workdir("\\a", "b", "windows") == "\\a\\b"
    with pytest.raises(InvalidRequest, match="not on the system drive"):
        normalize_workdir("", "D:\\b", "windows")
