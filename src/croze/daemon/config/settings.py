"""Everything the daemon is told, put together: flags over environment over file over defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from croze.daemon.config import toml as config_file
from croze.daemon.config.default_paths import DefaultPaths, default_places
from croze.daemon.config.flags import ENTITLEMENTS, FLAGS, Flag, N, group_id, number_of
from croze.daemon.config.toml import Config, Toml
from croze.daemon.config.toml_keys import snapshotter_named
from croze.errors import InvalidRequest, Unsupported
from croze.fs.userns import in_user_namespace
from croze.gotypes.argv import URFAVE, FlagNames
from croze.gotypes.numbers import parse_float, parse_int

LOG_FORMATS = frozenset({"", "text", "json"})
LOG_LEVELS = frozenset({"trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"})
_HELP = FlagNames(("--help", "-h"), switch=True)
_VERSION = FlagNames(("--version", "-v"), switch=True)
_HELP_COMMANDS = ("help", "h")


class Settings(Struct, frozen=True):
    """All that a daemon runs by."""

    root: Path
    addresses: tuple[str, ...]
    debug: bool
    config: Config
    entitlements: frozenset[str]
    idle_timeout_s: float
    ready_fd: int | None
    workers: int
    provenance_dir: Path
    """Where the administrator says what provenance tells of the builder besides."""
    docker_api: str = ""
    """Where Docker's own API is served: `unix://`, `tcp://`, or empty for nowhere."""
    docker_api_gid: int | None = None
    """Who owns its socket; None for our own group."""
    save_cache_debug: bool = False
    """Whether what cache keys are made of is kept, for whoever looks at the debug address."""
    warnings: tuple[str, ...] = ()
    """Sentences for the log: what was given and has no effect, or won't have for long."""

    @property
    def trace_socket(self) -> Path:
        """Where containers may send spans. BuildKit has it in its run directory, where there is
        room for one daemon's only."""
        return Path(self.config.otel.socket_path or self.root / "otel-grpc.sock").absolute()


class TextRequested(Exception):
    """The command line asks for a text to be printed, not for a daemon: `help`, `version`, or
    `topic`, help on a command of which there are none."""

    def __init__(self, text: str, topic: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.topic = topic


def settings(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Settings:
    """What a daemon with this command line and environment runs by. Raises `InvalidRequest` for a
    mistake, `Unsupported` for what can't be honoured, and `TextRequested` for --help and
    --version."""
    environ = os.environ if environ is None else environ
    places = default_places(environ)
    flags = _given(argv, environ)
    path = Path(flags.get("config", [places.config])[-1])
    file = config_file.read(path)
    config = config_file.load(file, str(path), _defaults(file), _layer(flags))
    _check(config)
    docker_api = _docker_api(_last(flags, "docker-api"), config)
    return Settings(
        root=Path(config.root or places.root).absolute(),
        addresses=tuple(config.grpc.address) or (places.address,),
        debug=level(config) in ("debug", "trace"),
        config=config,
        entitlements=_allowed(config, docker_api) | _lent(config),
        idle_timeout_s=_number(flags, "idle-timeout", parse_float, 0.0) or 0.0,
        ready_fd=_number(flags, "ready-fd", parse_int, 0),
        workers=_number(flags, "file-workers", parse_int, 1) or min(4, os.cpu_count() or 1),
        provenance_dir=Path(
            config.provenance_env_dir or Path(places.config).parent / "provenance.d"
        ),
        docker_api=docker_api,
        docker_api_gid=_docker_api_gid(flags, config),
        save_cache_debug=_last(flags, "save-cache-debug") == "true",
        warnings=(*config.warnings, *_flag_warnings(flags), *_file_warnings(flags, path)),
    )


def _docker_api(address: str, config: Config) -> str:
    scheme, separator, rest = address.partition("://")
    if scheme == "tcp" and rest:
        tls = config.grpc.tls
        if not (tls.ca and tls.cert and tls.key):
            raise Unsupported(
                f"--docker-api {address} is not supported without --tlscacert, --tlscert and "
                "--tlskey: whoever reaches it is root here; or use unix:///path/docker.sock"
            )
        return address
    if separator and scheme == "fd":
        return address
    if address and not (separator and scheme == "unix" and rest.startswith("/")):
        raise InvalidRequest(f"--docker-api {address}: use unix:///path/docker.sock")
    return address


def _docker_api_gid(flags: Mapping[str, list[str]], config: Config) -> int | None:
    if not (name := _last(flags, "docker-api-group")):
        return config.grpc.gid
    return group_id("docker-api-group", name)


def _allowed(config: Config, docker_api: str) -> frozenset[str]:
    """What clients may grant. A Docker engine that is not told otherwise allows builds in the
    host's network, as it does containers."""
    if config.insecure_entitlements is None:
        return frozenset({"network.host"} if docker_api else ())
    return frozenset(config.insecure_entitlements)


def _lent(config: Config) -> frozenset[str]:
    """Who lends devices grants them; which, is the client's to say."""
    return frozenset() if config.cdi.disabled else frozenset({"device"})


def _given(argv: Sequence[str], environ: Mapping[str, str]) -> Mapping[str, list[str]]:
    """The values of each flag, from the environment where the command line has none."""
    table = [FlagNames((f"--{flag.name}",), flag.switch) for flag in FLAGS]
    line = URFAVE.read(argv, [*table, _HELP, _VERSION], until=_HELP_COMMANDS.__contains__)
    values: dict[FlagNames, list[str]] = {}
    for names, value in line.values:
        values.setdefault(names, []).append(value)
    _refuse_to_run(values, line.words)
    texts_of = {names.names[0].removeprefix("--"): texts for names, texts in values.items()}
    for flag in FLAGS:
        if flag.refused and flag.name in texts_of:
            raise Unsupported(f"--{flag.name} is not supported: {flag.refused}")
        if flag.env and environ.get(flag.env):
            texts_of.setdefault(flag.name, [environ[flag.env]])
    return texts_of


def _refuse_to_run(values: Mapping[FlagNames, list[str]], words: Sequence[str]) -> None:
    """See that a daemon is asked for. Raises `TextRequested` for a command line that asks for a
    text."""
    if values.get(_HELP, ["false"])[-1] == "true":
        raise TextRequested("help")
    if values.get(_VERSION, ["false"])[-1] == "true":
        raise TextRequested("version")
    if words and words[0] in _HELP_COMMANDS:
        raise TextRequested("topic", words[1]) if words[1:] else TextRequested("help")


def _last(flags: Mapping[str, list[str]], name: str) -> str:
    return flags.get(name, [""])[-1]


def _number(
    flags: Mapping[str, list[str]], name: str, read: Callable[[str], N], least: N
) -> N | None:
    """The number that a flag has; None if it is not given, or empty."""
    text = _last(flags, name)
    return number_of(name, text, read, least) if text else None


def _defaults(file: Toml) -> Toml:
    """Rootless is the default in a user namespace, unless the file says otherwise."""
    if not in_user_namespace() or "rootless" in file.get("worker", {}).get("oci", {}):
        return {}
    return {"worker": {"oci": {"rootless": True}}}


def _layer(flags: Mapping[str, list[str]]) -> Toml:
    """What flags set, as tables of the file."""
    layer: Toml = {}
    for flag in FLAGS:
        for key, value in flag.sets(flag.name, flags[flag.name]) if flag.name in flags else ():
            *tables, last = key.split(".")
            table = layer
            for name in tables:
                table = table.setdefault(name, {})
            table[last] = value
    return layer


def level(config: Config) -> str:
    """The log level that flags, environment and file come to together."""
    return config.log.level or ("trace" if config.trace else "debug" if config.debug else "info")


def _check(config: Config) -> None:
    """What the types don't say."""
    worker = config.worker.oci
    if config.log.format not in LOG_FORMATS:
        raise InvalidRequest(f'unsupported log type "{config.log.format}"')
    if level(config).lower() not in LOG_LEVELS:
        raise InvalidRequest(
            f'unsupported log level: not a valid logrus Level: "{config.log.level}"'
        )
    if unknown := set(config.insecure_entitlements or ()) - ENTITLEMENTS:
        raise InvalidRequest(f"invalid entitlement : {', '.join(sorted(unknown))}")
    if not worker.enabled:
        raise InvalidRequest("no worker found: the OCI worker, the only one, is turned off")
    snapshotter_named(worker.snapshotter)
    if worker.no_process_sandbox and not worker.rootless:
        raise InvalidRequest("can't enable NoProcessSandbox without Rootless")
    if config.system.max_registry_concurrency <= 0:
        raise InvalidRequest(
            "maxRegistryConcurrency must be greater than zero; set to "
            f"{config.system.max_registry_concurrency} in the configuration file"
        )


def _flag_warnings(flags: Mapping[str, list[str]]) -> Iterator[str]:
    if "trace" in flags:
        yield "--trace option is deprecated; use --log-level=trace instead"


def _file_warnings(flags: Mapping[str, list[str]], path: Path) -> Iterator[str]:
    if "config" in flags and not path.exists():
        yield f"config file {path} does not exist: going on without"


def help_text(program: str, places: DefaultPaths) -> str:
    """The text of `--help`."""
    shown = [flag for flag in FLAGS if not flag.hidden]
    width = max(len(flag.name) for flag in shown) + 4
    lines = [f"   {f'--{flag.name}':{width}}{_described(flag, places)}" for flag in shown]
    usage = f"NAME:\n   {program} - build daemon\n\nUSAGE:\n   {program} [options]\n\nOPTIONS:"
    return "\n".join([usage, *lines])


def _described(flag: Flag, places: DefaultPaths) -> str:
    default = {"root": places.root, "config": places.config, "addr": places.address}.get(flag.name)
    return (
        flag.help
        + (f' (default: "{default}")' if default else "")
        + (f" [${flag.env}]" if flag.env else "")
    )
