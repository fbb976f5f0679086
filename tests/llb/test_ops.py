"""What each kind of op says."""

from __future__ import annotations

import pytest

from croze import llb
from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.image.platform import Platform

LINUX = llb.Defaults(Platform("amd64", "linux"))


def op_of(state: llb.State) -> ops_pb2.Op:
    """The op that the state is the result of."""
    return ops_pb2.Op.FromString(llb.op_blobs(state.marshal(LINUX))[-2])


def test_mounts_are_in_order_of_target_and_outputs_are_counted() -> None:
    tools = llb.image("busybox")
    run = llb.image("alpine").run(
        ["make"],
        mounts=[
            llb.cache("/z", "cache"),
            llb.bind("/src", tools),
            llb.bind("/aux", tools, readonly=True),
            llb.tmpfs("/tmp", size_bytes=4096),
        ],
    )
    op = op_of(run.root)
    assert [m.dest for m in op.exec.mounts] == ["/", "/aux", "/src", "/tmp", "/z"]
    assert [m.output for m in op.exec.mounts] == [0, -1, 1, -1, -1]
    assert [m.input for m in op.exec.mounts] == [0, 1, 1, -1, -1]
    last = ops_pb2.Op.FromString(llb.op_blobs(run.mount("/src").marshal(LINUX))[-1])
    assert last.inputs[0].index == 1


def test_a_read_only_mount_stays_what_it_was() -> None:
    tools = llb.image("busybox")
    run = llb.image("alpine").run("true", mounts=[llb.bind("/aux", tools, readonly=True)])
    assert run.mount("/aux").output is tools.output
    cached = llb.image("alpine").run("true", mounts=[llb.cache("/c", "id")])
    with pytest.raises(InvalidRequest, match="no output"):
        cached.mount("/c")


def test_secrets_and_agents() -> None:
    run = llb.image("alpine").run(
        "true", mounts=[llb.secret("token"), llb.secret("key", env="KEY"), llb.ssh()]
    )
    op = op_of(run.root)
    assert [m.dest for m in op.exec.mounts[1:]] == [
        "/run/secrets/token",
        "/run/buildkit/ssh_agent.0",
    ]
    assert [(s.ID, s.name) for s in op.exec.secretenv] == [("key", "KEY")]
    assert list(op.exec.meta.env) == ["SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0"]


def test_what_holds_for_one_process_ends_with_it() -> None:
    state = llb.image("alpine").run("true", env={"A": "1"}, dir="/x", user="u").root
    assert (dict(state.env), state.cwd, state.meta.user) == ({}, "/", "")


def test_a_process_needs_words() -> None:
    with pytest.raises(InvalidRequest, match="arguments are required"):
        llb.image("alpine").run([]).root.marshal()


def test_path_is_given_where_the_daemon_does_not() -> None:
    old = llb.Defaults(Platform("amd64", "linux"), has_cap=lambda cap: False)
    blobs = llb.op_blobs(llb.image("alpine").run("true").root.marshal(old))
    (env,) = ops_pb2.Op.FromString(blobs[-2]).exec.meta.env
    assert env.startswith("PATH=/usr/local/sbin:")


def test_actions_are_numbered_after_the_inputs() -> None:
    context = llb.local("context", session="s")
    action = llb.mkdir("/d", parents=True).copy(context, "a", "d/").rm("/d/x")
    op = op_of(llb.image("alpine").dir("/w").file(action))
    numbers = [(a.input, a.secondaryInput, a.output) for a in op.file.actions]
    assert numbers == [(0, -1, -1), (2, 1, -1), (3, -1, 0)]
    assert op.file.actions[1].copy.dest == "/w/d/"
    assert op.file.actions[1].copy.src == "/a"
    assert not op.HasField("platform")


def test_a_copy_from_between_two_actions() -> None:
    staged = llb.mkfile("/f", b"x").with_state(llb.scratch())
    op = op_of(llb.scratch().file(llb.copy(staged, "/f", "/g")))
    assert not op.inputs
    assert [(a.input, a.secondaryInput) for a in op.file.actions] == [(-1, -1), (-1, 0)]


@pytest.mark.parametrize(
    ("text", "user", "group"),
    [("root", 0, None), ("5:grp", 5, "grp"), (":7", "", 7), ("app", "app", None)],
)
def test_owners(text: str, user: object, group: object) -> None:
    found = llb.owner(text)
    assert (found.user, found.group) == (user, group)


def test_merge_and_diff_skip_what_is_empty() -> None:
    alpine = llb.image("alpine")
    assert llb.merge([llb.scratch(), alpine]) is alpine
    assert llb.merge([llb.scratch()]).output is None
    assert llb.diff(llb.scratch(), alpine) is alpine
    op = op_of(llb.diff(alpine, alpine.file(llb.mkdir("/a"))))
    assert (op.diff.lower.input, op.diff.upper.input) == (0, 1)


def test_git_sources_of_one_repository_have_one_identity() -> None:
    addresses = ["https://host.example/a/b.git", "ssh://git@host.example/a/b.git"]
    ids = {op_of(llb.git(url, "v1", subdir="d")).source.identifier for url in addresses}
    assert ids == {"git://host.example/a/b.git#v1:d"}
    scp = op_of(llb.git("git@host.example:a/b.git"))
    assert scp.source.attrs["git.fullurl"] == "git@host.example:a/b.git"
    assert scp.source.attrs["git.mountsshsock"] == "default"


def test_text_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="invalid UTF-8"):
        llb.image("alpine").run(["\udcff"]).root.marshal(LINUX)


def test_variables_set_again_move_to_the_end() -> None:
    env = llb.Env({"A": "1", "B": "2"}).set("A", "3")
    assert env.pairs() == ["B=2", "A=3"]
    assert env.update({"B": "4", "C": "5"}).pairs() == ["A=3", "B=4", "C=5"]
    assert env.without("A").pairs() == ["B=2"]


def test_a_definition_in_a_file() -> None:
    written = llb.scratch().file(llb.mkfile("/d", b"x"))
    op = op_of(llb.build(written, filename="d"))
    assert (op.build.builder, op.build.inputs["buildkit.llb.definition"].input) == (-1, 0)
    assert dict(op.build.attrs) == {"llbbuild.filename": "d"}
    with pytest.raises(InvalidRequest, match="empty filesystem"):
        llb.build(llb.scratch())


def test_signatures() -> None:
    commit = op_of(llb.git("https://host/a.git", "v1", signed_by="key", require_signed_tag=True))
    assert commit.source.attrs["git.sig.pubkey"] == "key"
    assert commit.source.attrs["git.sig.requiresignedtag"] == "true"
    assert "git.sig.rejectexpired" not in commit.source.attrs
    definition = llb.http("https://x/f", pgp_key="k", pgp_signature="s").marshal(LINUX)
    (metadata,) = [m for m in definition.metadata.values() if "source.http" in m.caps]
    assert metadata.caps["source.http.signatureverify"]
