"""The container's specification as a value: what a machine with other cgroups would get."""

from __future__ import annotations

import base64
import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from croze.errors import InvalidRequest
from croze.fs.owner import ExecUser
from croze.runtime import config_file, oci_spec, seccomp
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.contract import ContainerSpec, Process, Resources, Rlimit
from croze.runtime.errors import StartError
from croze.runtime.etc_files import PUBLIC_NAMESERVERS, DnsConfig, hosts_file, resolv_conf
from croze.runtime.host import Host
from croze.runtime.networks.provider import default_networks
from croze.runtime.oci_spec import Namespace, OciMount, Placement

V2 = Host(cgroup="v2", capabilities=frozenset({"CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"}))
V1 = Host(cgroup="v1", hard_limits={"NOFILE": 4096})


def config(
    host: Host = V2,
    *,
    mounts: tuple[OciMount, ...] = (),
    network: Namespace | None = None,
    bpf: str = "",
    **spec: Any,
) -> dict[str, Any]:
    placement = Placement(
        id="x1",
        rootfs="/r",
        user=ExecUser(1, 2, (3,)),
        mounts=mounts,
        network=network or Namespace(),
        hosts_file="/h",
        resolv_file="/d",
        bpf=bpf,
    )
    process = Process(args=["sh"], env=["A=1"], cwd="/w")
    return oci_spec.config_json(ContainerSpec(root=[], **spec), process, placement, host)


def namespaces(spec: dict[str, Any]) -> list[str]:
    return [n["type"] for n in spec["linux"]["namespaces"]]


def mounts(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {m["destination"]: m for m in spec["mounts"]}


def test_process() -> None:
    process = config()["process"]
    assert process["user"] == {"uid": 1, "gid": 2, "additionalGids": [2, 3]}
    assert (process["cwd"], process["env"], process["noNewPrivileges"]) == ("/w", ["A=1"], False)
    assert len(process["capabilities"]["effective"]) == 14
    assert "rlimits" not in process


def test_the_collector_of_spans_is_lent() -> None:
    placement = Placement(id="x", rootfs="/r", user=ExecUser(0, 0, ()), trace_socket="/s")
    process = Process(args=["sh"], env=["OTEL_TRACES_EXPORTER=none"])
    made = oci_spec.config_json(ContainerSpec(root=[]), process, placement, V2)
    assert mounts(made)["/dev/otel-grpc.sock"]["source"] == "/s"
    assert made["process"]["env"] == [
        "OTEL_TRACES_EXPORTER=none",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=unix:///dev/otel-grpc.sock",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc",
    ]
    assert "/dev/otel-grpc.sock" not in mounts(config())


def test_only_unified_cgroups_have_a_namespace() -> None:
    assert "cgroup" in namespaces(config(V2))
    assert "cgroup" not in namespaces(config(V1))
    assert "/sys/fs/cgroup" not in mounts(config(Host(cgroup="none")))


def test_networks() -> None:
    assert "network" not in namespaces(config())
    assert {"type": "network"} in config(network=Namespace(host=False))["linux"]["namespaces"]
    joined = config(network=Namespace(host=False, path="/run/netns/x"))["linux"]["namespaces"]
    assert {"type": "network", "path": "/run/netns/x"} in joined


def test_there_is_no_run_and_a_small_shm() -> None:
    found = mounts(config())
    assert "/run" not in found
    assert "size=65536k" in found["/dev/shm"]["options"]
    bigger = OciMount("/dev/shm", "tmpfs", "tmpfs", ("size=1",))
    assert mounts(config(mounts=(bigger,)))["/dev/shm"]["options"] == ["size=1"]


@pytest.mark.parametrize(
    ("parent", "path"),
    [
        ("", "/buildkit/x1"),
        ("foo", "/foo/buildkit/x1"),
        ("/foo/", "/foo/buildkit/x1"),
        ("user.slice:croze:", "/user.slice:croze:x1"),
        ("/", "/buildkit/x1"),
        (".", "/buildkit/x1"),
        ("..", "/buildkit/x1"),
        ("a/../../../../tmp/evil", "/tmp/evil/buildkit/x1"),
        ("../../tmp/evil.slice:x:", "/tmp/evil.slice:x:x1"),
        ("a/../../../evil.slice:", "/evil.slice:x1"),
    ],
)
def test_cgroup_paths(parent: str, path: str) -> None:
    assert CgroupParent.parse(parent).path("x1") == path


@pytest.mark.parametrize("parent", ["a//b", "x.slice::", ":x.slice:", "a\0b", "\0x.slice:a:"])
def test_what_names_no_cgroup(parent: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid cgroup parent"):
        CgroupParent.parse(parent)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Process(["/bin/sh", "-c", "a\0b"]), "exec /bin/sh: invalid argument"),
        (Process(["/bin/sh"], ["A=b\0c"]), "exec /bin/sh: invalid argument"),
        (Process(["a\0"]), "exec a\0: invalid argument"),
        (Process(["sh"], cwd="/\0"), "process.cwd: invalid argument"),
        (Process(["sh"], cwd=""), "Cwd property must not be empty"),
        (Process(["sh"], cwd="a"), "Cwd must be an absolute path"),
        (Process(["sh"], ["A=b", "=c"]), 'environment variable name can\'t be empty: "=c"'),
    ],
)
def test_what_no_process_can_be_given_reaches_no_runtime(
    tmp_path: Path, asked: Process, told: str
) -> None:
    placement = oci_spec.Placement(id="x1", rootfs="/r", user=ExecUser())
    made = oci_spec.config_json(ContainerSpec(root=()), asked, placement, V2)
    with pytest.raises(StartError) as caught:
        config_file.write(tmp_path / "config.json", made)
    assert str(caught.value) == told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "spec",
    [
        ContainerSpec(root=(), hostname="a\0"),
        ContainerSpec(root=(), ulimits=[Rlimit("nofile\0", 1, 1)]),
        ContainerSpec(root=(), annotations={"a\0": ""}),
        ContainerSpec(root=(), resources=Resources(cpuset_cpus="0\0")),
    ],
)
def test_zero_bytes_anywhere(tmp_path: Path, spec: ContainerSpec) -> None:
    placement = oci_spec.Placement(id="x1", rootfs="/r", user=ExecUser())
    made = oci_spec.config_json(spec, Process(["sh"]), placement, V2)
    with pytest.raises(StartError, match="invalid argument"):
        config_file.write(tmp_path / "config.json", made)


def test_insecure_is_privileged() -> None:
    spec = config(insecure=True, bpf="x")
    assert "seccomp" not in spec["linux"]
    assert spec["annotations"] == {}
    assert spec["linux"]["maskedPaths"] == spec["linux"]["readonlyPaths"] == []
    assert "rw" in mounts(spec)["/sys"]["options"]
    assert "CAP_SYS_ADMIN" in spec["process"]["capabilities"]["ambient"]
    paths = [d["path"] for d in spec["linux"]["devices"]]
    assert "/dev/fuse" in paths
    assert "/dev/loop7" in paths


def test_annotations_don_t_steer_the_runtime() -> None:
    spec = config(annotations={"run.oci.handler": "evil", "mine": "1"}, bpf="data")
    assert spec["annotations"] == {"mine": "1", "run.oci.seccomp_bpf_data": "data"}


def test_limits() -> None:
    asked = [Rlimit("nofile", 100, 100_000), Rlimit("core", -1, -1)]
    unlimited = 2**64 - 1
    assert config(V1, ulimits=asked)["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 4096},
        {"type": "RLIMIT_CORE", "soft": unlimited, "hard": unlimited},
    ]
    assert config(V2, ulimits=asked)["process"]["rlimits"][0]["hard"] == 100_000


def test_resources() -> None:
    limits = Resources(
        memory=1 << 20, memory_reservation=9, cpu_shares=5, cpuset_cpus="0-1", pids=7
    )
    found = config(resources=limits)["linux"]["resources"]
    assert found["memory"] == {"limit": 1 << 20, "reservation": 9}
    assert found["cpu"] == {"shares": 5, "cpus": "0-1"}
    assert found["pids"] == {"limit": 7}


def test_the_filter_depends_on_the_machine() -> None:
    caps = frozenset(oci_spec.DEFAULT_CAPABILITIES)

    def names(arch: str, caps: frozenset[str], kernel: str) -> set[str]:
        allowed = seccomp.oci_filter(arch, caps, kernel)["syscalls"]
        return {n for g in allowed if g["action"] == "SCMP_ACT_ALLOW" for n in g["names"]}

    amd64 = names("amd64", caps, "6.1.0-1")
    assert {"read", "ptrace", "arch_prctl"} <= amd64
    assert "mount" not in amd64
    assert "arch_prctl" not in names("arm64", caps, "6.1")
    assert "ptrace" not in names("amd64", caps, "4.4.0")
    assert "mount" in names("amd64", caps | {"CAP_SYS_ADMIN"}, "6.1")


def test_the_filter_is_compiled() -> None:
    caps = frozenset(oci_spec.DEFAULT_CAPABILITIES)
    program = seccomp.compile_bpf("amd64", caps, "6.1")
    if program is None:
        pytest.skip("needs libseccomp")
    assert len(program) > 1000
    assert len(program) % 8 == 0
    base64.b64encode(program)


def verdict(program: bytes, arch: int, number: int) -> int:
    """What a seccomp filter returns for a call, as the kernel evaluates it (`linux/filter.h`)."""
    data = {0: number, 4: arch, **dict.fromkeys(range(8, 64, 4), 0)}
    steps = list(struct.iter_unpack("=HBBI", program))
    at = value = 0
    while True:
        code, yes, no, operand = steps[at]
        at += 1
        match code:
            case 0x20:
                value = data[operand]
            case 0x06:
                return int(operand)
            case 0x05:
                at += operand
            case 0x54:
                value &= operand
            case 0x15 | 0x25 | 0x35 | 0x45:
                held = {
                    0x15: value == operand,
                    0x25: value > operand,
                    0x35: value >= operand,
                    0x45: bool(value & operand),
                }[code]
                at += yes if held else no
            case _:
                raise AssertionError(hex(code))


X86_64, I386 = 0xC000003E, 0x40000003
X32 = 0x40000000
ALLOWED, EPERM, ENOSYS = seccomp.ALLOW, seccomp.ERRNO | 1, seccomp.ERRNO | 38


@pytest.mark.parametrize(
    ("arch", "number", "told"),
    [
        (X86_64, 0, ALLOWED),  # read
        (X86_64, 165, EPERM),  # mount
        (X86_64, 435, ENOSYS),  # clone3, by a rule of the profile
        *((X86_64, number, ENOSYS) for number in (500, 511, 1000, X32 - 1)),
        (I386, 3, ALLOWED),  # read
        (I386, 21, EPERM),  # mount
        *((I386, number, ENOSYS) for number in (500, 1000, 0xFFFFFFFF)),
        (X86_64, X32 | 1, ALLOWED),  # write
        (X86_64, X32 | 165, EPERM),  # mount
        (X86_64, X32 | 600, ENOSYS),
    ],
)
def test_calls_newer_than_the_profile_are_not_there(arch: int, number: int, told: int) -> None:
    """As with runc: a C library gets around ENOSYS, not around EPERM."""
    program = seccomp.compile_bpf("amd64", frozenset(oci_spec.DEFAULT_CAPABILITIES), "6.1")
    if program is None or os.uname().machine != "x86_64":
        pytest.skip("needs libseccomp on x86_64")
    assert hex(verdict(program, arch, number)) == hex(told)


def test_the_specification_is_json() -> None:
    assert json.loads(json.dumps(config()))["ociVersion"] == "1.0.2"


def test_resolv_conf() -> None:
    host = "# c\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nsearch a b\noptions ndots:2\n"
    inside = "nameserver 10.0.0.1\nsearch a b\noptions ndots:2\n"
    assert resolv_conf(host, DnsConfig(), shares_host=False) == inside
    assert "127.0.0.53" in resolv_conf(host, DnsConfig(), shares_host=True)
    assert "nameserver 8.8.8.8" in resolv_conf("nameserver ::1\n", DnsConfig(), shares_host=False)
    dns = DnsConfig(nameservers=["1.1.1.1"], search=["x"])
    text = "nameserver 1.1.1.1\nsearch x\noptions ndots:2\n"
    assert resolv_conf(host, dns, shares_host=True) == text


PUBLIC = "".join(f"nameserver {address}\n" for address in PUBLIC_NAMESERVERS)
RESOLVERS = [
    ("", True, PUBLIC),
    ("", False, PUBLIC),
    ("nameserver\n", True, PUBLIC),
    ("nameserver ::1\n", True, "nameserver ::1\n"),
    ("nameserver ::1\nnameserver 127.1.2.3\nnameserver ::1%lo\n", False, PUBLIC),
    ("nameserver ::1\nnameserver fe80::1%eth0\n", False, "nameserver fe80::1%eth0\n"),
    ("nameserver ::1\nnameserver here\n", False, "nameserver here\n"),
    ("nameserver 1.2.3.4 5.6.7.8\n", False, "nameserver 1.2.3.4\n"),
    ("nameserver 1.1.1.1\nnameserver 2.2.2.2", True, "nameserver 1.1.1.1\nnameserver 2.2.2.2\n"),
    (
        "search a b\ndomain c\noptions x\noptions y z\nnameserver 1.2.3.4\n",
        True,
        "nameserver 1.2.3.4\nsearch c\noptions x y z\n",
    ),
    (
        "; c\n#d\n\n \t\nsortlist 1.2.3.0\nnameserver\t1.2.3.4\n",
        True,
        "nameserver 1.2.3.4\nsortlist 1.2.3.0\n",
    ),
]


@pytest.mark.parametrize(("host", "shares_host", "inside"), RESOLVERS)
def test_the_hosts_resolvers(host: str, shares_host: bool, inside: str) -> None:
    assert resolv_conf(host, DnsConfig(), shares_host=shares_host) == inside


def test_resolvers_that_are_set_are_taken_as_they_are() -> None:
    host = "nameserver 1.2.3.4\nsearch a\noptions b\n"
    dns = DnsConfig(nameservers=["127.0.0.1"], options=["o", "p"], search=["s", "t"])
    inside = "nameserver 127.0.0.1\nsearch s t\noptions o p\n"
    assert resolv_conf(host, dns, shares_host=False) == inside
    only_options = DnsConfig(options=["o"])
    inside = "nameserver 1.2.3.4\nsearch a\noptions o\n"
    assert resolv_conf(host, only_options, shares_host=False) == inside


async def test_networks_that_nobody_has_to_make() -> None:
    seen: dict[str, tuple[bool, Namespace]] = {}
    for mode, network in default_networks().items():
        async with network.open("x1", "here") as namespace:
            seen[mode] = network.shares_host, namespace
    assert seen == {
        "sandbox": (True, Namespace(host=True)),
        "host": (True, Namespace(host=True)),
        "none": (False, Namespace(host=False)),
    }


def test_hosts() -> None:
    assert hosts_file("h", [("a", "::2"), ("b", "1.2.3.4")]) == (
        "127.0.0.1\tlocalhost h\n::1\tlocalhost ip6-localhost ip6-loopback\n::2\ta\n1.2.3.4\tb\n"
    )
