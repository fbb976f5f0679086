"""Options against the attributes that buildx sends for them."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from croze.client.layouts import ociindex
from croze.client.plan import (
    AgentFrom,
    LocalDir,
    SecretFrom,
    ToDir,
    ToDocker,
    ToFd,
    ToFile,
    ToLayout,
)
from croze.client.planning import inputs
from croze.client.planning.builder import BuilderTraits
from croze.client.planning.make import make_plan
from croze.client.planning.options import BuildOptions, call_name
from croze.errors import CrozeError, InvalidRequest


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ctx"
    path.mkdir()
    (path / "Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path / "buildx"))
    for name in ("SOURCE_DATE_EPOCH", "BUILDX_NO_DEFAULT_ATTESTATIONS"):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def node(context: Path, tmp_path: Path) -> str:
    (tmp_path / "buildx").mkdir()
    (tmp_path / "buildx/.buildNodeID").write_text("node1")
    return "node1"


def test_a_plain_build(context: Path, node: str) -> None:
    plan = make_plan(BuildOptions(str(context)))
    assert plan.frontend == "dockerfile.v0"
    assert plan.frontend_attrs == {
        "filename": "Dockerfile",
        "attest:provenance": "mode=min,inline-only=true",
    }
    assert plan.local_dirs == {"context": LocalDir(context), "dockerfile": LocalDir(context)}
    assert plan.shared_key == "ctx:node1"
    assert plan.exports == []


def every_option(context: Path) -> BuildOptions:
    return BuildOptions(
        str(context),
        dockerfile=str(context / "sub/My.Dockerfile"),
        target="t",
        build_args=["A=1"],
        labels={"l": "2"},
        platforms=["linux/amd64,linux/arm64", "linux/amd64"],
        no_cache_filter=["a", "b"],
        pull=True,
        network="host",
        shm_size="64m",
        ulimits=["nofile=1:2"],
        add_hosts=["h:1.2.3.4"],
        cgroup_parent="cg",
        provenance="false",
        sbom="generator=x",
        build_contexts=[f"named={context}", "base=docker-image://alpine"],
        secrets=["id=s,env=S"],
        ssh=["default=/sock"],
    )


def test_every_option_becomes_an_attribute_of_the_request(context: Path, node: str) -> None:
    (context / "sub").mkdir()
    plan = make_plan(every_option(context))
    assert plan.frontend_attrs == {
        "filename": "My.Dockerfile",
        "target": "t",
        "build-arg:A": "1",
        "label:l": "2",
        "platform": "linux/amd64,linux/arm64,linux/amd64",
        "no-cache": "a,b",
        "image-resolve-mode": "pull",
        "force-network-mode": "host",
        "shm-size": str(64 << 20),
        "ulimit": "nofile=1:2",
        "add-hosts": "h=1.2.3.4",
        "cgroup-parent": "cg",
        "attest:sbom": "type=sbom,generator=x",
        "context:named": "local:named",
        "sharedkey:localdir:named": "ctx:node1",
        "context:base": "docker-image://alpine",
        "frontend.caps": "moby.buildkit.frontend.contexts+forward",
    }
    assert plan.entitlements == ["network.host"]
    assert plan.local_dirs["dockerfile"] == LocalDir(context / "sub")
    assert plan.secrets == [SecretFrom("s", env="S")]
    assert plan.ssh == [AgentFrom("default", ("/sock",))]


def test_no_cache_is_an_empty_attribute(context: Path) -> None:
    assert make_plan(BuildOptions(str(context), no_cache=True)).frontend_attrs["no-cache"] == ""


def test_the_syntax_argument_picks_the_frontend(context: Path) -> None:
    plan = make_plan(BuildOptions(str(context), build_args=["BUILDKIT_SYNTAX=a/b:1 x"]))
    assert plan.frontend == "gateway.v0"
    assert plan.frontend_attrs["source"] == "a/b:1"
    assert plan.frontend_attrs["cmdline"] == "a/b:1 x"


def test_outputs_become_exports(context: Path, tmp_path: Path) -> None:
    plan = make_plan(
        BuildOptions(
            str(context),
            tags=["a:1", "b"],
            outputs=[
                "out",
                "type=tar,dest=o.tar",
                "type=oci,dest=-" if not sys.stdout.isatty() else "type=oci,dest=p.tar",
                "type=docker",
                "type=oci,tar=false,dest=layout",
                "type=registry",
                "type=cacheonly",
            ],
            annotations=["k=v"],
        )
    )
    assert [export.type for export in plan.exports] == [
        *("local", "tar", "oci", "docker", "oci", "image")
    ]
    destinations = [export.to for export in plan.exports]
    assert destinations[:2] == [ToDir(Path("out")), ToFile(Path("o.tar"))]
    assert isinstance(destinations[2], ToFd | ToFile)
    assert destinations[3:] == [ToDocker(), ToLayout(Path("layout")), None]
    assert plan.exports[5].attrs == {
        "name": "a:1,b",
        "push": "true",
        "unpack": "false",
        "annotation.k": "v",
    }


def test_push_and_load(context: Path) -> None:
    plan = make_plan(BuildOptions(str(context), tags=["a"], push=True, load=True))
    assert [(e.type, e.attrs) for e in plan.exports] == [
        ("image", {"push": "true", "unpack": "false", "name": "a"}),
        ("docker", {"name": "a"}),
    ]
    own_store = make_plan(BuildOptions(str(context), load=True), BuilderTraits(keeps_images=True))
    assert [(e.type, e.to) for e in own_store.exports] == [("image", None)]
    default = make_plan(BuildOptions(str(context)), BuilderTraits(default_load=True))
    assert [(e.type, e.to) for e in default.exports] == [("docker", ToDocker())]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"push": True}, "tag is needed when pushing to registry"),
        ({"outputs": ["type=local"]}, "dest is required for local exporter"),
        ({"outputs": ["type=local,dest=-"]}, "dest cannot be stdout for local exporter"),
        ({"outputs": ["ctx/Dockerfile"]}, "destination directory ctx/Dockerfile is a file"),
        ({"outputs": ["type=tar,dest=ctx"]}, "destination file ctx is a directory"),
        (
            {"outputs": ["type=local,dest=/dev/null/x"]},
            "invalid destination directory: /dev/null/x: stat /dev/null/x: not a directory",
        ),
        (
            {"outputs": ["type=oci,tar=false,dest=ctx/Dockerfile/x"]},
            "invalid destination directory: ctx/Dockerfile/x: stat ctx/Dockerfile/x: not a "
            "directory",
        ),
        (
            {"outputs": [f"type=tar,dest={'x' * 300}"]},
            f"invalid destination file: {'x' * 300}: stat {'x' * 300}: file name too long",
        ),
        (
            {"outputs": ["type=local,dest=/tmp/x,mode=delete"]},
            'local output mode=delete for destination "/tmp/x" '
            "requires --allow=buildx.local.delete",
        ),
        (
            {"outputs": ["out"], "iidfile": "x"},
            "local and tar exporters are incompatible with image ID file",
        ),
        (
            {"no_cache": True, "no_cache_filter": ["a"]},
            "--no-cache and --no-cache-filter cannot currently be used together",
        ),
        (
            {"network": "foo"},
            'network mode "foo" not supported by buildkit - you can define a custom network for '
            "your builder using the network driver-opt in buildx create",
        ),
        ({"context": "nope"}, 'unable to prepare context: path "nope" not found'),
        (
            {"context": ""},
            'please specify build context (e.g. "." for the current directory)',
        ),
        (
            {"context": "-", "dockerfile": "-"},
            "invalid argument: can't use stdin for both build context and dockerfile",
        ),
        (
            {"build_contexts": ["x=nope"]},
            "failed to get build context x: stat nope: no such file or directory",
        ),
        (
            {"outputs": ["type=docker,dest=x"], "platforms": ["linux/amd64,linux/arm64"]},
            "docker exporter does not support exporting manifest lists, use the oci exporter "
            "instead",
        ),
        *(
            (
                {"outputs": ["type=docker,dest=x"], **attested},
                "docker exporter does not support exporting manifest lists, use the oci exporter "
                "instead",
            )
            for attested in (
                {"provenance": "true"},
                {"sbom": "true"},
                {"attests": ["type=provenance,mode=max"]},
            )
        ),
        (
            {
                "outputs": ["type=docker,dest=x,tar=false"],
                "platforms": ["linux/amd64,linux/arm64"],
            },
            "docker exporter does not currently support exporting manifest lists",
        ),
        (
            {"outputs": ["type=docker,dest=x,tar=false"]},
            "both file and store output is not supported by docker exporter",
        ),
        (
            {"build_contexts": ["x=ctx/Dockerfile/x"]},
            "failed to get build context x: stat ctx/Dockerfile/x: not a directory",
        ),
    ],
)
def test_options_that_can_not_be_are_refused(
    context: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(CrozeError) as caught:
        make_plan(BuildOptions(**{"context": "ctx", **options}))  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_default_that_is_not_taken_is_not_asked_for(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in buildx, which reads its variable then."""
    monkeypatch.setenv("BUILDX_NO_DEFAULT_ATTESTATIONS", "")
    make_plan(BuildOptions("ctx", provenance="mode=max")).close()
    with pytest.raises(CrozeError, match=r'parsing "": invalid syntax'):
        make_plan(BuildOptions("ctx"))


# -- inputs ----------------------------------------------------------------------------------


def test_the_dockerfile_from_standard_input(context: Path) -> None:
    stdin = io.BytesIO(b"FROM x\n")
    plan = make_plan(BuildOptions(str(context), dockerfile="-", stdin=stdin))
    folder = plan.local_dirs["dockerfile"].path
    assert (folder / "Dockerfile").read_bytes() == b"FROM x\n"
    assert plan.frontend_attrs["dockerfilekey"] == "dockerfile"
    plan.close()
    assert not folder.exists()


def test_standard_input_as_the_context(context: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(context / "Dockerfile", "Dockerfile")
    plan = make_plan(BuildOptions("-", stdin=io.BytesIO(buffer.getvalue())))
    (id, file) = next(iter(plan.uploads.items()))
    assert plan.frontend_attrs["context"] == f"http://buildkit-session/{id}"
    assert file.read() == buffer.getvalue()
    assert plan.local_dirs == {}


def test_standard_input_as_a_dockerfile_alone(context: Path) -> None:
    plan = make_plan(BuildOptions("-", stdin=io.BytesIO(b"FROM scratch\n")))
    assert list(plan.local_dirs["context"].path.iterdir()) == []
    text = (plan.local_dirs["dockerfile"].path / "Dockerfile").read_bytes()
    assert text == b"FROM scratch\n"
    plan.close()


def test_a_remote_context(context: Path) -> None:
    plan = make_plan(BuildOptions("https://example.com/a.git#main"))
    assert plan.frontend_attrs["context"] == "https://example.com/a.git#main"
    assert plan.local_dirs == {}
    assert inputs.is_remote("git@github.com:a/b.git")
    assert not inputs.is_remote("./a")
    assert make_plan(BuildOptions("git@github.com:a/b.git")).ssh == [AgentFrom("default")]


def test_a_lower_case_dockerfile(tmp_path: Path, context: Path) -> None:
    (context / "Dockerfile").rename(context / "dockerfile")
    assert make_plan(BuildOptions(str(context))).frontend_attrs["filename"] == "dockerfile"


def test_a_layout_as_a_context(context: Path, tmp_path: Path) -> None:
    digest = "sha256:" + "a" * 64
    ociindex.put(tmp_path / "layout", {"digest": digest, "size": 1}, tag="v1")
    plan = make_plan(BuildOptions(str(context), build_contexts=["base=oci-layout://layout:v1"]))
    (store, path) = next(iter(plan.layouts.items()))
    assert path == Path("layout")
    assert plan.frontend_attrs["context:base"] == f"oci-layout://{store}:v1@{digest}"
    with pytest.raises(CrozeError, match="could not be resolved"):
        make_plan(BuildOptions(str(context), build_contexts=["base=oci-layout://nope"]))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("oci-layout:///a/b", ("/a/b", "latest", "")),
        ("oci-layout:///a/b:1.3", ("/a/b", "1.3", "")),
        ("oci-layout:///a/@/b@sha256:" + "a" * 64, ("/a/@/b", "", "sha256:" + "a" * 64)),
        ("oci-layout://a:1@sha256:" + "a" * 64, ("a", "1", "sha256:" + "a" * 64)),
    ],
)
def test_references_to_layouts_are_taken_apart(text: str, parts: tuple[str, str, str]) -> None:
    assert ociindex.parse(text) == parts


def test_calls_have_the_names_of_subrequests() -> None:
    assert [call_name(c) for c in ("", "build", "check", "outline,format=json")] == [
        *("", "", "lint", "outline")
    ]


def test_a_call_is_a_subrequest(context: Path) -> None:
    plan = make_plan(
        BuildOptions(str(context), call="check", build_contexts=["b=docker-image://b"])
    )
    assert plan.internal
    assert plan.frontend_attrs["requestid"] == "frontend.lint"
    assert plan.frontend_attrs["frontend.caps"] == (
        "moby.buildkit.frontend.contexts+forward,moby.buildkit.frontend.subrequests"
    )


def test_options_need_no_grpc() -> None:
    code = "import sys, croze.client.planning.options; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tags_that_are_no_references_are_refused(context: Path) -> None:
    with pytest.raises(InvalidRequest, match='invalid tag "UPPER:x:y"'):
        make_plan(BuildOptions(str(context), tags=["UPPER:x:y"], load=True))


def test_a_git_query_may_be_sent_as_what_it_means(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://h.test/r.git?ref=main&subdir=s"
    options = BuildOptions(url, build_contexts={"more": url})
    plain = make_plan(options)
    assert "gitquerystring" in plain.frontend_attrs["frontend.caps"]
    monkeypatch.setenv("BUILDX_SEND_GIT_QUERY_AS_INPUT", "true")
    sent = make_plan(options)
    assert "context" not in sent.frontend_attrs
    assert sent.frontend_attrs["input:context"] == url
    assert sent.frontend_attrs["context:more"] == "input:git_state_context:more"
    assert sorted(sent.frontend_inputs) == ["context", "dockerfile", "git_state_context:more"]
    assert "gitquerystring" not in sent.frontend_attrs.get("frontend.caps", "")


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(dockerfile="a\0b"),
        BuildOptions(secrets=["id=a,src=a\0b"]),
        BuildOptions(ssh=["default=a\0b"]),
        BuildOptions(cache_from=["type=local,src=a\0b"]),
        BuildOptions(cache_to=["type=local,dest=a\0b"]),
    ],
)
def test_paths_with_zero_bytes(options: BuildOptions) -> None:
    """Files and editors can say so, which no command line can."""
    with pytest.raises(InvalidRequest, match=r'"[a-z=,]*a\\x00b": no path has a zero byte'):
        make_plan(options)
