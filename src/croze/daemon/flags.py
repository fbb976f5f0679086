"""`crozed`'s command line: buildkitd's flags, and how they and the configuration file combine."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from croze import __version__
from croze.daemon import config as config_file
from croze.daemon.config import Config
from croze.errors import InvalidRequest

DEFAULT_ROOT = "/var/lib/buildkit"
DEFAULT_ADDRESS = "unix:///run/buildkit/buildkitd.sock"
DEFAULT_CONFIG = "/etc/buildkit/buildkitd.toml"
ENTITLEMENTS = frozenset({"network.host", "security.insecure", "device"})


@dataclass(frozen=True)
class Settings:
    """Everything the daemon was told, flags over file over defaults."""

    root: Path
    addresses: tuple[str, ...]
    debug: bool
    group: str
    config: Config
    entitlements: frozenset[str]
    idle_timeout_s: float
    ready_fd: int | None
    workers: int


def parser() -> argparse.ArgumentParser:
    """The flags. Those of workers and features that don't exist here are accepted if harmless."""
    made = argparse.ArgumentParser(prog="crozed", description="The Croze build daemon.")
    made.add_argument("--version", action="version", version=f"crozed {__version__}")
    made.add_argument("--config", default=None, help="path to config file")
    made.add_argument("--root", default=None, help="path to state directory")
    made.add_argument("--addr", action="append", default=[], help="listening address (repeatable)")
    made.add_argument("--group", default="", help="group (name or gid) owning Unix sockets")
    made.add_argument("--debug", action=argparse.BooleanOptionalAction, default=None)
    made.add_argument("--log-level", default="")
    made.add_argument("--log-format", default="", choices=["", "text", "json"])
    made.add_argument("--tlscert", default="")
    made.add_argument("--tlskey", default="")
    made.add_argument("--tlscacert", default="")
    made.add_argument("--allow-insecure-entitlement", action="append", default=[])
    _add_worker_flags(made)
    made.add_argument("--idle-timeout", type=float, default=0, help="exit after seconds unused")
    made.add_argument("--ready-fd", type=int, default=None, help="write a byte here when ready")
    made.add_argument("--file-workers", type=int, default=0, help="processes for file work")
    return made


def _add_worker_flags(made: argparse.ArgumentParser) -> None:
    made.add_argument("--oci-worker", default="true", help="true, false or auto")
    made.add_argument("--oci-worker-labels", action="append", default=[], metavar="K=V")
    made.add_argument("--oci-worker-snapshotter", default="")
    made.add_argument("--oci-worker-platform", action="append", default=[])
    made.add_argument("--oci-worker-net", default="")
    made.add_argument("--oci-worker-binary", default="")
    made.add_argument("--oci-worker-gc", action=argparse.BooleanOptionalAction, default=None)
    made.add_argument("--oci-worker-gc-keepstorage", default="")
    made.add_argument("--oci-worker-no-process-sandbox", action="store_true")
    made.add_argument("--oci-worker-rootless", action="store_true")
    made.add_argument("--oci-worker-apparmor-profile", default="")
    made.add_argument("--oci-worker-selinux", action="store_true")
    made.add_argument("--oci-max-parallelism", default="")
    made.add_argument("--oci-cni-config-path", default="")
    made.add_argument("--oci-cni-binary-dir", default="")
    made.add_argument("--oci-cni-pool-size", default="")
    made.add_argument("--containerd-worker", default="false")


def settings(argv: Sequence[str]) -> Settings:
    """Raises `InvalidRequest` for a bad file or a value that can't be honoured."""
    flags = parser().parse_args([_without_explicit_bool(a) for a in argv])
    config = _with_flags(_load_config(flags.config), flags)
    entitlements = frozenset(config.insecure_entitlements)
    if unknown := entitlements - ENTITLEMENTS:
        raise InvalidRequest(f"invalid entitlement: {', '.join(sorted(unknown))}")
    return Settings(
        root=Path(config.root or DEFAULT_ROOT).absolute(),
        addresses=tuple(config.grpc.address) or (DEFAULT_ADDRESS,),
        debug=config.debug or config.log.level in ("debug", "trace"),
        group=flags.group,
        config=config,
        entitlements=entitlements,
        idle_timeout_s=flags.idle_timeout,
        ready_fd=flags.ready_fd,
        workers=flags.file_workers or min(4, os.cpu_count() or 1),
    )


def _without_explicit_bool(argument: str) -> str:
    """buildkitd's switches also come as `--debug=true`."""
    name, _, value = argument.partition("=")
    if name in ("--debug", "--oci-worker-gc") and value in ("true", "false"):
        return name if value == "true" else f"--no-{name.removeprefix('--')}"
    if name in ("--oci-worker-no-process-sandbox", "--oci-worker-selinux") and value == "true":
        return name
    return argument


def _load_config(named: str | None) -> Config:
    path = Path(named or DEFAULT_CONFIG)
    if named is None and not path.exists():
        return Config()
    return config_file.load(path)


def _with_flags(config: Config, flags: argparse.Namespace) -> Config:
    worker = config.worker.oci
    labels = dict(pair.partition("=")[::2] for pair in flags.oci_worker_labels)
    try:
        parallelism = int(flags.oci_max_parallelism or worker.max_parallelism)
    except ValueError as error:
        raise InvalidRequest(f"invalid --oci-max-parallelism: {error}") from error
    worker = msgspec.structs.replace(
        worker,
        labels={**worker.labels, **labels},
        snapshotter=flags.oci_worker_snapshotter or worker.snapshotter,
        platforms=flags.oci_worker_platform or worker.platforms,
        binary=flags.oci_worker_binary or worker.binary,
        network_mode=flags.oci_worker_net or worker.network_mode,
        gc=worker.gc if flags.oci_worker_gc is None else flags.oci_worker_gc,
        gckeepstorage=flags.oci_worker_gc_keepstorage or worker.gckeepstorage,
        max_parallelism=parallelism,
    )
    tls = config_file.Tls(
        cert=flags.tlscert or config.grpc.tls.cert,
        key=flags.tlskey or config.grpc.tls.key,
        ca=flags.tlscacert or config.grpc.tls.ca,
    )
    grpc = msgspec.structs.replace(config.grpc, address=flags.addr or config.grpc.address, tls=tls)
    return msgspec.structs.replace(
        config,
        debug=config.debug if flags.debug is None else flags.debug,
        root=flags.root or config.root,
        log=config_file.Log(
            format=flags.log_format or config.log.format, level=flags.log_level or config.log.level
        ),
        grpc=grpc,
        insecure_entitlements=[*config.insecure_entitlements, *flags.allow_insecure_entitlement],
        worker=config_file.Workers(oci=worker),
    )
