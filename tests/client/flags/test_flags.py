from __future__ import annotations

import pytest

from croze.client.flags.cache import complete, parse_caches
from croze.client.flags.image import parse_annotations, parse_attests, shorthand
from croze.client.flags.output import OutputFlag, parse_output, parse_outputs
from croze.client.flags.pairs import pairs
from croze.client.flags.run import parse_hosts, parse_resources, parse_ulimits
from croze.client.flags.session import (
    AllowedPrivileges,
    parse_allow,
    parse_contexts,
    parse_secrets,
    parse_ssh,
)
from croze.client.plan import AgentFrom, CacheSpec, SecretFrom
from croze.errors import InvalidRequest


def test_ids_of_cache_mounts_may_go_on() -> None:
    (cache,) = parse_caches(["type=local,mounts=a,b,/c,dest=x"])
    assert cache == CacheSpec("local", {"mounts": "a,b,/c", "dest": "x"})
    with pytest.raises(InvalidRequest, match="invalid value b"):
        parse_caches(["type=local,dest=a,b"])


def test_pairs_without_a_value_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IN_ENV", "value")
    monkeypatch.delenv("NOT_THERE", raising=False)
    values = ["A=1=2", "B=", "IN_ENV", "NOT_THERE"]
    assert pairs(values, from_env=True) == {"A": "1=2", "B": "", "IN_ENV": "value"}
    assert pairs(["L"], from_env=False) == {"L": ""}
    with pytest.raises(InvalidRequest, match='invalid key-value pair "=x": empty key'):
        pairs(["=x"], from_env=True)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", OutputFlag("local", "out")),
        ("-", OutputFlag("tar", "-")),
        ("type=local,dest=d", OutputFlag("local", "d")),
        ("type=image,Name=a,push=true", OutputFlag("image", "", {"name": "a", "push": "true"})),
        ('type=oci,"name=a,b"', OutputFlag("oci", "", {"name": "a,b"})),
    ],
)
def test_outputs_have_a_short_and_a_long_form(text: str, output: OutputFlag) -> None:
    assert parse_output(text) == output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dest=x,y=z", "type is required for output"),
        ("type=local,x", "invalid value x"),
    ],
)
def test_outputs_are_refused_in_buildxs_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_outputs([text])
    assert str(caught.value) == message


def test_caches_have_a_short_and_a_long_form(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_caches(["a/b,c", "type=local,src=x", ""]) == [
        CacheSpec("registry", {"ref": "a/b"}),
        CacheSpec("registry", {"ref": "c"}),
        CacheSpec("local", {"src": "x"}),
    ]
    with pytest.raises(InvalidRequest, match='type required for "src=x"'):
        parse_caches(["src=x"])


@pytest.mark.parametrize(
    ("said", "environment", "sent"),
    [
        ({}, {}, None),
        ({"token": "t"}, {}, None),
        ({}, {"ACTIONS_RUNTIME_TOKEN": "t"}, None),
        (
            {},
            {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_CACHE_URL": "one"},
            {"token": "t", "url": "one"},
        ),
        (
            {"token": "mine", "scope": "s"},
            {"ACTIONS_RUNTIME_TOKEN": "t", "ACTIONS_RESULTS_URL": "two"},
            {"token": "mine", "scope": "s", "url": "two"},
        ),
        (
            {},
            {
                "ACTIONS_RUNTIME_TOKEN": "t",
                "ACTIONS_CACHE_URL": "one",
                "ACTIONS_RESULTS_URL": "two",
                "ACTIONS_CACHE_SERVICE_V2": "True",
            },
            {"token": "t", "url": "one", "url_v2": "two"},
        ),
        (
            {"version": "1"},
            {
                "ACTIONS_RUNTIME_TOKEN": "t",
                "ACTIONS_RESULTS_URL": "two",
                "ACTIONS_CACHE_SERVICE_V2": "1",
            },
            {"version": "1", "token": "t", "url": "two"},
        ),
    ],
)
def test_github_caches_as_buildx_completes_them(
    monkeypatch: pytest.MonkeyPatch,
    said: dict[str, str],
    environment: dict[str, str],
    sent: dict[str, str] | None,
) -> None:
    for name in ("RUNTIME_TOKEN", "CACHE_URL", "RESULTS_URL", "CACHE_SERVICE_V2"):
        monkeypatch.delenv(f"ACTIONS_{name}", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    expected = [] if sent is None else [CacheSpec("gha", sent)]
    assert complete([CacheSpec("gha", said), CacheSpec("inline")]) == [
        *expected,
        CacheSpec("inline"),
    ]


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({}, {"access_key_id": "id", "secret_access_key": "key", "session_token": "token"}),
        (
            {"access_key_id": "mine"},
            {"access_key_id": "mine", "secret_access_key": "key", "session_token": "token"},
        ),
        (
            {"access_key_id": "mine", "secret_access_key": "my key"},
            {"access_key_id": "mine", "secret_access_key": "my key"},
        ),
    ],
)
def test_aws_caches_as_buildx_completes_them(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, str], sent: dict[str, str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert complete([CacheSpec("s3", said)]) == [CacheSpec("s3", sent)]


def test_secrets_come_from_files_and_variables() -> None:
    assert parse_secrets(
        ["id=a,src=f", "id=b,env=B", "type=env,id=c,src=C", "type=file,id=d,source=D"]
    ) == [
        SecretFrom("a", "f"),
        SecretFrom("b", "", "B"),
        SecretFrom("c", "", "C"),
        SecretFrom("d", "D"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id", "invalid field 'id' must be a key=value pair"),
        ("id=a,type=x", 'unsupported secret type "x"'),
        ("id=a,foo=x", "unexpected key 'foo' in 'foo=x'"),
    ],
)
def test_secrets_are_refused_in_buildxs_words(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_secrets([text])
    assert str(caught.value) == message


def test_agents_have_an_id_and_sockets() -> None:
    found = parse_ssh(["default", "k=a,b", "e="])
    assert found == [AgentFrom("default"), AgentFrom("k", ("a", "b")), AgentFrom("e", ("",))]


def test_contexts_are_called_without_the_tag_latest() -> None:
    found = parse_contexts(["base=docker-image://x", "alpine:latest=dir"])
    assert found == {"base": "docker-image://x", "alpine": "dir"}
    with pytest.raises(InvalidRequest, match="invalid context value: x, expected key=value"):
        parse_contexts(["x"])


def test_privileges_are_those_that_there_are() -> None:
    found = parse_allow(["network.host", "buildx.local.delete", "device=x"])
    assert found == AllowedPrivileges(("network.host", "device=x"), True)
    with pytest.raises(InvalidRequest, match="unknown entitlement foo"):
        parse_allow(["foo"])


def test_the_first_flag_for_an_attestation_counts() -> None:
    texts = [
        shorthand("provenance", "false"),
        shorthand("sbom", "true"),
        "type=sbom,generator=x",
        'type=other,b=2,"a=1,2"',
    ]
    assert parse_attests(texts) == {
        "provenance": None,
        "sbom": "type=sbom",
        "other": 'type=other,"a=1,2",b=2',
    }
    with pytest.raises(InvalidRequest, match="attestation type not specified"):
        parse_attests(["a=b"])


def test_annotations_say_what_they_are_of() -> None:
    assert parse_annotations(["a=1", "manifest:b=2", "index,manifest[linux/amd64]:c=3"]) == {
        "annotation.a": "1",
        "annotation-manifest.b": "2",
        "annotation-index.c": "3",
        "annotation-manifest[linux/amd64].c": "3",
    }
    with pytest.raises(InvalidRequest, match='unknown annotation type "foo"'):
        parse_annotations(["foo:a=1"])


def test_the_last_ulimit_of_a_name_counts() -> None:
    assert parse_ulimits(["nofile=1024", "core=0:1", "nofile=5:6"]) == ("nofile=5:6,core=0:1")
    for text, message in (
        ("nofile", "invalid ulimit argument: nofile"),
        ("foo=1", "invalid ulimit type: foo"),
        ("nofile=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            parse_ulimits([text])
        assert str(caught.value) == message


def test_hosts_have_an_address_or_are_the_gateway() -> None:
    found = parse_hosts(["a:1.2.3.4", "b=[::1]", "c:host-gateway"], "10.0.0.1")
    assert found == "a=1.2.3.4,b=::1,c=10.0.0.1"
    with pytest.raises(InvalidRequest, match="invalid host a:b"):
        parse_hosts(["a:b"])
    for driver, whose in (("remote", "the remote driver"), ("", "this builder")):
        with pytest.raises(InvalidRequest, match=f"host-gateway is not supported by {whose}$"):
            parse_hosts(["c:host-gateway"], "", driver)


def test_resources_are_those_that_there_are() -> None:
    found = parse_resources(["memory=1g", "cpu-shares=0", "cpuset-cpus=0-1"])
    assert found == {"memory": str(1 << 30), "cpusetcpus": "0-1"}
    with pytest.raises(InvalidRequest, match='unknown resource "x"'):
        parse_resources(["x=1"])
    for number in ("1_000", "٣", "9223372036854775808"):
        with pytest.raises(InvalidRequest, match=f'"{number}" for resource cpu-quota: strconv.Par'):
            parse_resources([f"cpu-quota={number}"])
