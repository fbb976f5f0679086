"""What the parameters of `POST /build` ask of a build."""

from __future__ import annotations

import pytest

from croze.api.attrs import of_attrs
from croze.engineapi.build.query import check_session, solve_request
from croze.engineapi.query import UrlQuery
from croze.errors import CrozeError, InvalidRequest, Unsupported

GIVEN = (("version", "2"), ("session", "s"), ("remote", "client-session"))


def test_everything_that_is_served() -> None:
    asked = UrlQuery(
        [
            *GIVEN,
            *(("t", "app"), ("t", "app:2"), ("dockerfile", "d/D"), ("target", "last")),
            *(("buildargs", '{"A":"1","NONE":null,"BUILDKIT_INLINE_CACHE":"1"}'),),
            *(("labels", '{"l":"v"}'), ("networkmode", "host"), ("nocache", "1"), ("pull", "1")),
            *(("extrahosts", "h:1.2.3.4"), ("extrahosts", "i:::1"), ("shmsize", "64")),
            *(("ulimits", '[{"Name":"nofile","Hard":2,"Soft":1}]'), ("platform", "linux/arm64")),
            *(("cachefrom", '["c"]'), ("memory", "0"), ("cpusetcpus", ""), ("cpushares", "7")),
        ]
    )
    made = solve_request(asked, "ref")
    assert (made.Ref, made.Session, made.Frontend) == ("ref", "s", "dockerfile.v0")
    assert of_attrs(made.FrontendAttrs) == {
        "filename": "d/D",
        "target": "last",
        "platform": "linux/arm64",
        "build-arg:A": "1",
        "build-arg:BUILDKIT_INLINE_CACHE": "1",
        "label:l": "v",
        "force-network-mode": "host",
        "no-cache": "",
        "image-resolve-mode": "pull",
        "add-hosts": "h=1.2.3.4,i=::1",
        "shm-size": "64",
        "ulimit": "nofile=1:2",
        "cpushares": "7",
    }
    (exporter,) = made.Exporters
    names = "docker.io/library/app:latest,docker.io/library/app:2"
    assert (exporter.Type, of_attrs(exporter.Attrs)) == ("moby", {"name": names})
    assert list(made.Entitlements) == ["network.host"]
    assert [of_attrs(entry.Attrs) for entry in made.Cache.Imports] == [{"ref": "c"}]
    assert [entry.Type for entry in made.Cache.Exports] == ["inline"]


def test_the_hosts_own_address() -> None:
    asked = UrlQuery([*GIVEN, ("extrahosts", "up:host-gateway")])
    made = solve_request(asked, "r", host_gateway="127.0.0.1")
    assert of_attrs(made.FrontendAttrs)["add-hosts"] == "up=127.0.0.1"
    with pytest.raises(InvalidRequest, match="unable to derive the IP value for host-gateway"):
        solve_request(asked, "r")


def test_outputs() -> None:
    local = '[{"Type":"local","Attrs":{"dest":"x"}}]'
    (exporter,) = solve_request(UrlQuery([*GIVEN, ("outputs", local)]), "r").Exporters
    assert (exporter.Type, of_attrs(exporter.Attrs)) == ("local", {"dest": "x"})
    none = solve_request(UrlQuery([*GIVEN, ("outputs", '[{"Type":"cacheonly"}]')]), "r")
    assert not none.Exporters


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"squash": "1"}, Unsupported, "squash=1 is not served here"),
        ({"isolation": "process"}, InvalidRequest, "of Windows only"),
        ({"session": ""}, Unsupported, "a build without a session"),
        ({"networkmode": "mine"}, InvalidRequest, "network mode 'mine' not supported by buildkit"),
        ({"labels": "[1"}, InvalidRequest, "error reading labels"),
        ({"labels": '["a"]'}, InvalidRequest, "error reading labels"),
        ({"t": "A"}, InvalidRequest, "must be lowercase"),
        ({"outputs": '[{"Type":"a"},{"Type":"b"}]'}, InvalidRequest, "multiple outputs"),
    ],
)
def test_refused(asked: dict[str, str], kind: type[CrozeError], words: str) -> None:
    query = UrlQuery({**dict(GIVEN), **asked}.items())

    def read() -> None:
        check_session(query)
        solve_request(query, "ref")

    with pytest.raises(kind) as refused:
        read()
    assert words in str(refused.value)
