"""Every name that buildkitd knows is honoured, refused with a reason, or remarked upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from croze.daemon.config import settings as module
from croze.daemon.config.default_paths import DefaultPaths
from croze.daemon.config.flags import FLAGS
from croze.daemon.config.settings import Settings, TextRequested, settings
from croze.daemon.config.sizes import DiskSpace
from croze.daemon.config.toml import GhaPolicy
from croze.errors import CrozeError, InvalidRequest, Unsupported
from croze.sigstore.identity import FIELDS, OLD_FIELDS

DATA = Path(__file__).parent / "data"
RECORDED = (DATA / "buildkitd-flags.txt").read_text().splitlines()
"""What `buildkitd --help` lists, hidden and Windows flags included, with the kind of each value."""
VALUES = {
    "addr": "tcp://127.0.0.1:1",
    "allow-insecure-entitlement": "network.host",
    "containerd-worker": "true",
    "group": "12",
    "log-format": "json",
    "log-level": "error",
    "oci-worker": "false",
    "oci-worker-gc": "false",
    "oci-worker-gc-keepstorage": "7",
    "oci-worker-rootless": "true",
    "oci-worker-snapshotter": "native",
}


@pytest.fixture(autouse=True)
def on_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As root of the whole machine, with no configuration file."""
    for place in ("settings", "default_paths", "flags"):
        monkeypatch.setattr(f"croze.daemon.config.{place}.in_user_namespace", lambda: False)
    monkeypatch.chdir(tmp_path)


def told(*words: str, env: Mapping[str, str] | None = None, toml: str = "") -> Settings:
    path = Path("buildkitd.toml")
    path.write_text(toml)
    return settings(["--config", str(path), *words], env or {})


def value_of(name: str, kind: str) -> str:
    default = {"int": "3", "string": "a=b" if name.endswith("labels") else "7"}
    return VALUES.get(name, default.get(kind, "true"))


@pytest.mark.parametrize("line", RECORDED)
def test_no_flag_is_silently_ignored(line: str) -> None:
    name, _, kind = line.partition(" ")
    words = [f"--{name}={value_of(name, kind)}"]
    if name == "oci-worker-no-process-sandbox":
        words.append("--rootless")
    outcome = outcome_of(*words)
    assert outcome != told() or name == "config"
    assert not isinstance(outcome, str) or len(outcome) > 20, "a reason"


def outcome_of(*words: str) -> Settings | str:
    """The settings, or the reason why there are none."""
    try:
        return told(*words)
    except TextRequested:
        return "the command asks for a text"
    except CrozeError as error:
        return str(error)


def test_every_switch_of_buildkitds_is_one_here() -> None:
    switches = {flag.name for flag in FLAGS if flag.switch} | {"help", "version"}
    for line in RECORDED:
        name, _, kind = line.partition(" ")
        assert (name in switches) == (not kind), name


@pytest.mark.parametrize(
    "name", ["service-name", "log-file", "register-service", "unregister-service", "run-service"]
)
def test_windows_flags_are_refused(name: str) -> None:
    with pytest.raises(Unsupported, match=f"--{name} is not supported: .*Windows"):
        told(f"--{name}=true")


COMPLETE = """\
root = "/r"
insecure-entitlements = ["network.host", "security.insecure", "device"]
[log]
format = "json"
level = "warn"
[dns]
nameservers = ["1.1.1.1"]
options = ["edns0"]
searchDomains = ["example.com"]
[otel]
socketPath = "/s"
[cdi]
disabled = true
specDirs = ["/cdi"]
autoAllowed = ["a/b"]
[history]
maxAge = 172800
maxEntries = 50
[grpc]
debugAddress = "0.0.0.0:6060"
address = ["unix:///a", "tcp://0.0.0.0:1234"]
uid = 1
gid = 2
[grpc.tls]
cert = "c"
key = "k"
ca = "a"
[worker.oci]
enabled = true
platforms = ["linux/amd64"]
snapshotter = "native"
rootless = true
noProcessSandbox = true
gc = true
reservedSpace = "30%"
maxUsedSpace = "60%"
minFreeSpace = "20GB"
binary = "runc"
apparmor-profile = "p"
max-parallelism = 4
defaultCgroupParent = "g"
networkMode = "host"
cniConfigPath = "/c"
cniBinaryPath = "/b"
cniPoolSize = 16
bridgeName = "br"
bridgeSubnet = "10.0.0.0/8"
[worker.oci.labels]
foo = "bar"
[[worker.oci.gcpolicy]]
all = true
keepDuration = "48h"
filters = ["type==source.local"]
reservedSpace = 512
maxUsedSpace = "1GB"
minFreeSpace = "10%"
[registry."docker.io"]
mirrors = ["m"]
http = true
insecure = true
ca = ["c"]
tlsconfigdir = ["d"]
[[registry."docker.io".keypair]]
key = "k"
cert = "c"
[frontend."dockerfile.v0"]
enabled = true
[frontend."gateway.v0"]
enabled = true
allowedRepositories = ["x"]
[system]
platformsCacheMaxAge = "1h"
maxRegistryConcurrency = 2
"""


def test_the_documented_file_is_read_whole() -> None:
    read = told(toml=COMPLETE)
    assert read.warnings == ()
    worker = read.config.worker.oci
    assert worker.min_free_space == DiskSpace(20 * 2**30)
    assert worker.gcpolicy[0].keep_duration.seconds == 48 * 3600
    assert read.config.system.platforms_cache_max_age.seconds == 3600
    assert read.config.history is not None
    assert read.config.history.max_age.seconds == 172800
    assert read.config.cdi.auto_allowed == ["a/b"]
    assert read.config.registry["docker.io"].keypair[0].cert == "c"
    assert read.addresses == ("unix:///a", "tcp://0.0.0.0:1234")


def test_names_in_any_case_and_unknown_ones() -> None:
    read = told(toml='foo = 1\n[Worker.OCI]\nSnapshotter = "native"\nfoo = 2\n')
    assert read.config.worker.oci.snapshotter == "native"
    assert read.warnings == (
        "config: unknown key foo has no effect",
        "config: unknown key worker.oci.foo has no effect",
    )


REFUSED: Sequence[tuple[str, str]] = (
    ('[grpc]\nsecurityDescriptor = "x"', "grpc.securityDescriptor"),
    ("[worker.containerd]\nenabled = true", "worker.containerd.enabled"),
    ('[worker.oci]\nuserRemapUnsupported = "x"', "worker.oci.userRemapUnsupported"),
    ('[worker.oci]\nproxySnapshotterPath = "x"', "worker.oci.proxySnapshotterPath"),
    ("[worker.oci]\nselinux = true", "worker.oci.selinux"),
    ("[ghacache.verify]\nrequired = true", "ghacache.verify.required"),
)


@pytest.mark.parametrize("name", ["fuse-overlayfs", "stargz"])
def test_snapshotters_that_are_refused(name: str) -> None:
    with pytest.raises(Unsupported, match=f"the snapshotter {name} is not supported: .{{10}}"):
        told(f"--oci-worker-snapshotter={name}")


@pytest.mark.parametrize(("toml", "key"), REFUSED)
def test_keys_that_are_refused(toml: str, key: str) -> None:
    with pytest.raises(Unsupported, match=f"config: {key} is not supported: .{{10}}"):
        told(toml=toml)


def test_a_refused_key_may_be_turned_off() -> None:
    assert told(toml="[worker.containerd]\nenabled = false").warnings == ()
    assert (
        told(toml="[ghacache.sign]\ncmd = ''\n[ghacache.verify]\nrequired = false").warnings == ()
    )
    told("--containerd-worker=false", toml="[worker.containerd]\nenabled = true")


def test_who_may_sign_a_cache() -> None:
    toml = """[cache.gha.sign]
    [cache.gha.verify]
    required = true
    [cache.gha.verify.policy]
    timestampThreshold = 1
    SubjectAlternativeName = "https://github.com/acme/*"
    sourceRepositoryURI = "https://github.com/acme/app"
    githubWorkflowSHA = "0123"
    """
    gha = told(toml=toml).config.cache.gha
    assert gha.sign is not None
    assert gha.verify.policy.timestamp_threshold == 1
    assert gha.verify.policy.fields == {
        "subjectAlternativeName": "https://github.com/acme/*",
        "sourceRepositoryURI": "https://github.com/acme/app",
        "githubWorkflowSHA": "0123",
    }
    names = {each.encode_name for each in msgspec.structs.fields(GhaPolicy)}
    assert names == {"timestampThreshold", "tlogThreshold", *FIELDS, *OLD_FIELDS}


@pytest.mark.parametrize(
    "line", ['subjectAltName = "me"', "issuer = 1", 'tlogThreshold = "many"', "issuer = ['a']"]
)
def test_who_may_sign_a_cache_is_spelt_right(line: str) -> None:
    """What is passed over would not be asked for."""
    name = line.partition(" ")[0]
    with pytest.raises(InvalidRequest, match=name):
        told(toml=f"[cache.gha.verify.policy]\n{line}\n")


def test_keys_without_effect_are_named() -> None:
    read = told(toml='[worker.containerd]\nnamespace = "x"\n[worker.containerd.runtime]\nname="y"')
    assert read.warnings == (
        "config: worker.containerd has no effect: crozed runs containers itself and has no "
        "containerd worker",
    )


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("a = [", "failed to load config from buildkitd.toml"),
        ('[worker.oci]\nenabled = "x"', r"Expected `bool`, got `str` - at `\$.worker.oci.enabled`"),
        ('[history]\nmaxAge = "x"', "invalid duration x"),
        ('[worker.oci]\nreservedSpace = "1.5%"', "invalid disk space 1.5%"),
        ("[worker.oci]\nenabled = false", "no worker found"),
        ('[worker.oci]\nsnapshotter = "x"', 'unknown snapshotter name: "x"'),
        ("[worker.oci]\nnoProcessSandbox = true", "can't enable NoProcessSandbox without Rootless"),
        ('insecure-entitlements = ["x"]', "invalid entitlement : x"),
        ('[log]\nformat = "xml"', 'unsupported log type "xml"'),
        ('[log]\nlevel = "zzz"', 'not a valid logrus Level: "zzz"'),
        (
            "[system]\nmaxRegistryConcurrency = 0",
            "maxRegistryConcurrency must be greater than zero",
        ),
    ],
)
def test_mistakes_in_the_file(toml: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        told(toml=toml)


def test_a_missing_file_is_no_reason_not_to_start() -> None:
    read = settings(["--config", "none.toml"], {})
    assert read.warnings == ("config file none.toml does not exist: going on without",)


@pytest.mark.parametrize(
    ("words", "env", "toml", "level"),
    [
        ("", {}, "debug = true", "debug"),
        ("", {}, 'debug = true\n[log]\nlevel = "error"', "error"),
        ("--debug", {}, '[log]\nlevel = "error"', "debug"),
        ("--debug=false", {}, '[log]\nlevel = "error"', "error"),
        ("--debug --trace", {}, "", "trace"),
        ("--debug", {"BUILDKITD_LOG_LEVEL": "warn"}, "", "warn"),
        ("--log-level fatal", {"BUILDKITD_LOG_LEVEL": "warn"}, "", "fatal"),
    ],
)
def test_flags_go_over_the_environment_and_that_over_the_file(
    words: str, env: dict[str, str], toml: str, level: str
) -> None:
    assert module.level(told(*words.split(), env=env, toml=toml).config) == level


def test_flags_over_the_file() -> None:
    toml = '[grpc]\naddress = ["unix:///f"]\n[worker.oci.labels]\na = "1"\nb = "2"\n'
    toml = f'insecure-entitlements = ["device"]\n{toml}'
    words = ["--addr", "unix:///x", "--oci-worker-labels", "b=3", "--oci-worker-labels=c=d=e"]
    read = told(*words, "--allow-insecure-entitlement=network.host", toml=toml)
    assert read.addresses == ("unix:///x",)
    assert read.config.worker.oci.labels == {"a": "1", "b": "3", "c": "d=e"}
    assert read.entitlements == {"network.host", "device"}
    assert "device" not in told("--cdi-disabled").entitlements


def test_entitlements_beside_dockers_api() -> None:
    api, listed = "--docker-api=unix:///d", 'insecure-entitlements = ["security.insecure"]'
    for words, toml, names in (
        ([], "", set()),
        ([api], "", {"network.host"}),
        ([api], "insecure-entitlements = []", set()),
        ([api], listed, {"security.insecure"}),
    ):
        assert told("--cdi-disabled", *words, toml=toml).entitlements == names, toml


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("idle-timeout=soon", 'strconv.ParseFloat: parsing "soon": invalid syntax'),
        ("idle-timeout=nan", "less than 0.0"),
        ("ready-fd=-1", "less than 0"),
        ("file-workers=1_0", 'strconv.ParseInt: parsing "1_0": invalid syntax'),
        ("file-workers=0", "less than 1"),
    ],
)
def test_numbers_of_flags(flag: str, reason: str) -> None:
    name, _, value = flag.partition("=")
    with pytest.raises(InvalidRequest) as refusal:
        told(f"--{flag}")
    assert str(refusal.value) == f'invalid value "{value}" for flag -{name}: {reason}'


def test_keepstorage_takes_the_place_of_the_files_limits() -> None:
    toml = '[worker.oci]\nmaxUsedSpace = "1GB"\n'
    worker = told("--oci-worker-gc-keepstorage=5,6", toml=toml).config.worker.oci
    assert worker.reserved_space == DiskSpace(5 * 10**6)
    assert worker.min_free_space == DiskSpace(6 * 10**6)
    assert not worker.max_used_space


def test_help_names_every_flag_that_is_not_hidden() -> None:
    with pytest.raises(TextRequested, match="help"):
        told("-h")
    with pytest.raises(TextRequested, match="version"):
        told("-v")
    text = module.help_text("crozed", DefaultPaths())
    assert all((f"--{flag.name} " in text) != flag.hidden for flag in FLAGS)


def test_root_of_a_user_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("settings", "default_paths", "flags"):
        monkeypatch.setattr(f"croze.daemon.config.{place}.in_user_namespace", lambda: True)
    env = {"USER": "joe", "HOME": "/home/joe", "XDG_RUNTIME_DIR": "/run/user/7"}
    read = told(env=env)
    assert read.config.worker.oci.rootless
    assert str(read.root) == "/home/joe/.local/share/buildkit"
    assert read.addresses == ("unix:///run/user/7/buildkit/buildkitd.sock",)
    assert not told("--rootless=false", env=env).config.worker.oci.rootless
    assert not told(toml="[worker.oci]\nrootless = false", env=env).config.worker.oci.rootless
    assert told("--oci-worker-rootless", env=env).config.worker.oci.rootless
    assert str(told(env={**env, "USER": "root"}).root) == "/var/lib/buildkit"


def test_the_rootless_worker_needs_a_user_namespace() -> None:
    with pytest.raises(InvalidRequest, match="rootless mode requires to be executed as the mapped"):
        told("--oci-worker-rootless")
