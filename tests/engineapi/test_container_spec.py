"""What a container may be asked to be, and what is refused by its name."""

from __future__ import annotations

import json

import pytest

from croze.engineapi.containers import spec as specs
from croze.errors import CrozeError, InvalidRequest, Unsupported
from croze.image.config import RunConfig
from croze.runtime.contract import Resources

IMAGE = RunConfig(entrypoint=("e",), cmd=("c",), env=("A=1", "B=2"), user="u", working_dir="/i")


def read(**members: object) -> specs.Create:
    return specs.read(json.dumps({"Image": "i", **members}).encode())


@pytest.mark.parametrize(
    ("members", "args"),
    [
        ({}, ["e", "c"]),
        ({"Cmd": ["x", "y"]}, ["e", "x", "y"]),
        ({"Cmd": "x"}, ["e", "x"]),
        ({"Entrypoint": ["f"]}, ["f"]),
        ({"Entrypoint": [""], "Cmd": ["x"]}, ["x"]),
        ({"Entrypoint": []}, ["c"]),
        ({"Entrypoint": None, "Cmd": None}, ["e", "c"]),
    ],
)
def test_what_runs(members: dict[str, object], args: list[str]) -> None:
    assert specs.process_of(read(**members), IMAGE).args == args


def test_the_rest_of_the_process() -> None:
    made = specs.process_of(read(Env=["B=3", "A", "C="], WorkingDir="/w", Tty=True), IMAGE)
    assert (made.cwd, made.user, made.tty) == ("/w", "u", True)
    assert set(made.env) >= {"B=3", "C=", "TERM=xterm"}
    assert not [pair for pair in made.env if pair.startswith("A=")]
    with pytest.raises(InvalidRequest, match="No command specified"):
        specs.process_of(read(), RunConfig())


def test_limits_and_mounts() -> None:
    host = {
        "NanoCpus": 1_500_000_000,
        "Memory": 64 << 20,
        "MemoryReservation": 32 << 20,
        "PidsLimit": 99,
        "Isolation": "default",
        "Binds": ["/a:/b", "/c:/d:ro,z"],
        "Mounts": [{"Type": "bind", "Source": "/s", "Target": "/t", "ReadOnly": True}],
        "NetworkMode": "host",
        "ExtraHosts": ["h:1.2.3.4", "six:::1"],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}],
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "ConsoleSize": [33, 99],
        "PortBindings": {},
        "ShmSize": None,
    }
    made = read(HostConfig=host, Volumes={"/b": {}})
    assert specs.resources(made) == Resources(
        memory=64 << 20,
        memory_reservation=32 << 20,
        cpu_period=100_000,
        cpu_quota=150_000,
        pids=99,
    )
    assert made.host_config.isolation == "default"
    assert specs.resources(read(HostConfig={"PidsLimit": -1})) == Resources()
    assert [(m.dest, m.readonly) for m in specs.binds(made)] == [
        ("/b", False),
        ("/d", True),
        ("/t", True),
    ]
    assert specs.network(made) == "host"
    assert specs.extra_hosts(made) == [("h", "1.2.3.4"), ("six", "::1")]


def test_the_hosts_own_address() -> None:
    made = read(HostConfig={"ExtraHosts": ["up:host-gateway"]})
    assert specs.extra_hosts(made, "10.10.0.1") == [("up", "10.10.0.1")]
    with pytest.raises(InvalidRequest, match="unable to derive the IP value for host-gateway"):
        specs.extra_hosts(made)


@pytest.mark.parametrize(
    ("members", "kind", "words"),
    [
        ({"HostConfig": {"Privileged": True}}, Unsupported, "HostConfig.Privileged"),
        ({"HostConfig": {"SomethingNew": 1}}, Unsupported, "HostConfig.SomethingNew"),
        ({"HostConfig": {"Binds": ["v:/x"]}}, Unsupported, "volume v is not served"),
        ({"HostConfig": {"Binds": ["/a:/x:rshared"]}}, Unsupported, "rshared of the mount"),
        ({"HostConfig": {"Binds": ["/a:x"]}}, InvalidRequest, "must be absolute"),
        ({"HostConfig": {"Binds": ["/a:/"]}}, InvalidRequest, "must be absolute"),
        ({"HostConfig": {"NetworkMode": "container:x"}}, Unsupported, "network container:x"),
        ({"NetworkingConfig": {"EndpointsConfig": {"n": {}}}}, Unsupported, "network n is not"),
        ({"Volumes": {"/v": {}}}, Unsupported, "volume /v is not served"),
        ({"Healthcheck": {"Test": ["CMD", "x"]}}, Unsupported, "Healthcheck"),
        ({"HostConfig": {"Isolation": "hyperv"}}, Unsupported, "HostConfig.Isolation"),
        ({"WorkingDir": "x"}, InvalidRequest, "'x' is invalid, it needs to be an absolute path"),
        ({"HostConfig": [1]}, InvalidRequest, "invalid"),
        ({"Env": "x"}, InvalidRequest, "invalid JSON"),
    ],
)
def test_refused(members: dict[str, object], kind: type[CrozeError], words: str) -> None:
    with pytest.raises(kind, match=words):
        read(**members)


def host(**members: object) -> specs.Create:
    return read(HostConfig=members)


def test_tmpfs() -> None:
    spec = host(
        Tmpfs={"/a": "", "/b": "exec,size=1m"},
        Mounts=[
            {"Type": "tmpfs", "Target": "/c", "ReadOnly": True},
            {"Type": "tmpfs", "Target": "/d", "TmpfsOptions": {"SizeBytes": 9, "Mode": 0o700}},
        ],
    )
    hard = ("noexec", "nosuid", "nodev")
    assert [(mount.dest, mount.mounts[0].options) for mount in specs.tmpfs(spec)] == [
        ("/a", hard),
        ("/b", ("nosuid", "nodev", "exec", "size=1m")),
        ("/c", (*hard, "ro")),
        ("/d", (*hard, "size=9", "mode=700")),
    ]
    assert specs.binds(spec) == []
    with pytest.raises(InvalidRequest, match='invalid tmpfs option "bogus"'):
        host(Tmpfs={"/a": "bogus"})
    with pytest.raises(InvalidRequest, match="invalid mount path: 'a'"):
        host(Tmpfs={"a": ""})


def test_the_least_memory() -> None:
    assert specs.resources(host(Memory=6 << 20)).memory == 6 << 20
    with pytest.raises(InvalidRequest, match="Minimum memory limit allowed is 6MB"):
        host(Memory=1)


def test_sources_of_mounts() -> None:
    options = {"CreateMountpoint": True}
    made = {"Type": "bind", "Source": "/m", "Target": "/3", "BindOptions": options}
    plain = {"Type": "bind", "Source": "/n", "Target": "/4"}
    spec = host(Binds=["/b:/1"], Mounts=[made, plain])
    assert specs.made_sources(spec) == ["/b", "/m"]
    assert specs.needed_sources(spec) == ["/n"]


def bound(options: dict[str, object]) -> dict[str, object]:
    mount = {"Type": "bind", "Source": "/", "Target": "/x", "BindOptions": options}
    return {"HostConfig": {"Mounts": [mount]}}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"HostConfig": {"Sysctls": {"a": ""}}}, "HostConfig.Sysctls is"),
        ({"HostConfig": {"StorageOpt": {"size": ""}}}, "HostConfig.StorageOpt is"),
        (
            {
                "NetworkingConfig": {
                    "EndpointsConfig": {"none": {"ipamconfig": {"IPv4Address": "1"}}}
                }
            },
            "IPAMConfig of the network none is",
        ),
        (
            {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": "2"}}}},
            "MacAddress of the network bridge is",
        ),
        (bound({"Propagation": "shared"}), "the propagation shared of a mount is"),
        (bound({"Propagation": "ro"}), "the propagation ro of a mount is"),
        (bound({"NonRecursive": True}), "NonRecursive of a mount is"),
    ],
)
def test_small_wishes_are_refused(members: dict[str, object], words: str) -> None:
    with pytest.raises(Unsupported, match=f"{words} not served here"):
        read(**members)


def test_settings_that_say_nothing_are_taken() -> None:
    empty = {"IPAMConfig": None, "Aliases": None, "MacAddress": "", "GwPriority": 0}
    read(NetworkingConfig={"EndpointsConfig": {"default": empty}})


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": ["/a\0:/b"]},
        {"Binds": ["/a:/b\0"]},
        {"Mounts": [{"Type": "bind", "Source": "/\0", "Target": "/b"}]},
        {"Mounts": [{"Type": "tmpfs", "Target": "/b\0"}]},
        {"Tmpfs": {"/b\0": ""}},
    ],
)
def test_paths_with_a_zero_byte(host: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="a path with a zero byte"):
        read(HostConfig=host)


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1, 10**30])
def test_numbers_that_go_has_no_room_for(number: int) -> None:
    ulimit = {"Name": "nofile", "Soft": number, "Hard": 1}
    wishes: list[dict[str, object]] = [
        {"StopTimeout": number},
        {"HostConfig": {"Memory": number}},
        {"HostConfig": {"Ulimits": [ulimit]}},
    ]
    for members in wishes:
        with pytest.raises(InvalidRequest, match="does not fit in 64 bits"):
            read(**members)
