"""`buildctl debug`: `workers` and `info`, by which others ask whether a daemon answers; the rest is
in `records.py`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from croze.cli.buildctl.connection import ConnectionSettings
from croze.cli.buildctl.flags import ConnectionFlags
from croze.cli.buildctl.templates import FORMAT, check, rendered, struct
from croze.cli.buildctl.text import no_topic, size
from croze.cli.common import UsageError
from croze.client.planning.platforms import worker_platforms
from croze.gotypes.duration import format_duration
from croze.gotypes.tabwriter import align, align_by_tabs
from croze.image import platform as platforms

if TYPE_CHECKING:
    from croze.api import worker_pb2
    from croze.gotypes.template import Fields

COMMANDS = {
    "dump-llb": "dump LLB in human-readable format",
    "workers": "list workers",
    "info": "display internal information",
    "monitor": "display build events",
    "logs": "display build logs",
    "ctl": "control build records",
    "get": "retrieve a blob from contentstore",
    "histories": "list build records",
}
_ELSEWHERE = ("dump-llb", "monitor", "logs", "ctl", "get", "histories")


def run(name: str, argv: Sequence[str], connection: ConnectionSettings) -> int:
    group = ConnectionFlags("buildctl debug", "debug utilities")
    args, words = group.read_options(argv, connection.common)
    connection = connection.changed(args)
    what = words[0] if words else "help"
    if what == "dump-metadata":
        message = "buildctl debug dump-metadata is not there: the store's metadata is SQLite's"
        raise UsageError(message, name)
    if what in ("help", "h"):
        rows = "".join(f"   {each:<10} {about}\n" for each, about in COMMANDS.items())
        print(f"USAGE:\n   buildctl debug [command [command options]]\n\nCOMMANDS:\n{rows}", end="")
        return 0
    if what not in COMMANDS:
        return no_topic(what)
    flags = ConnectionFlags(f"buildctl debug {what}", COMMANDS[what])
    if what in _ELSEWHERE:
        from croze.cli.buildctl import records

        return records.debug(what, flags, words[1:], connection)
    flags.text("--format", help=FORMAT)
    if what == "workers":
        flags.texts("-f", "--filter", help="containerd-style filter string slice")
        flags.switch("-v", "--verbose", help="Verbose output")
    args, connection = flags.take(words[1:], connection)
    check(args.format)
    if what == "info":
        asyncio.run(_info(connection, args.format))
    else:
        asyncio.run(_workers(connection, args.filter, args.format, verbose=args.verbose))
    return 0


async def _info(connection: ConnectionSettings, format: str) -> None:
    async with connection.client() as client:
        version = await client.info()
    if format:
        sys.stdout.write(rendered(format, struct({"buildkitVersion": _version(version)})))
        return
    rows = [("BuildKit:", f"{version.package} {version.version} {version.revision}")]
    if version.dockerfileVersion:
        rows.append(("Dockerfile:", version.dockerfileVersion))
    sys.stdout.write(align("".join(f"{key}\t{value}\n" for key, value in rows), padding=1))


def _version(version: worker_pb2.BuildkitVersion) -> Fields:
    members = {
        "package": version.package,
        "version": version.version,
        "revision": version.revision,
        "dockerfileVersion": version.dockerfileVersion,
    }
    return struct({k: v for k, v in members.items() if v or k != "dockerfileVersion"})


async def _workers(
    connection: ConnectionSettings, filters: Sequence[str], format: str, *, verbose: bool
) -> None:
    async with connection.client() as client:
        workers = await client.workers(filters)
    if format:
        sys.stdout.write(rendered(format, [_value(worker) for worker in workers]))
    elif verbose:
        sys.stdout.write(align_by_tabs("".join(map(_details, workers))))
    else:
        rows = [("ID", "PLATFORMS"), *((one.ID, _platforms(one)) for one in workers)]
        sys.stdout.write(align_by_tabs("".join(f"{id}\t{text}\n" for id, text in rows)))


def _platforms(worker: worker_pb2.WorkerRecord) -> str:
    return ",".join(platforms.format(platforms.normalize(one)) for one in worker_platforms(worker))


def _details(worker: worker_pb2.WorkerRecord) -> str:
    version = worker.BuildkitVersion
    lines = [
        f"ID:\t{worker.ID}",
        f"Platforms:\t{_platforms(worker)}",
        f"BuildKit:\t{version.package} {version.version} {version.revision}",
        *([f"Dockerfile:\t{version.dockerfileVersion}"] if version.dockerfileVersion else []),
        "Labels:",
        *(f"\t{key}:\t{worker.Labels[key]}" for key in sorted(worker.Labels)),
    ]
    if worker.CDIDevices:
        lines += ["Devices:", *(f"\tName:\t{device.Name}" for device in worker.CDIDevices), ""]
    for number, rule in enumerate(worker.GCPolicy):
        lines += [f"GC Policy rule#{number}:", *_rule(rule)]
    return "".join(f"{line}\n" for line in lines) + "\n"


def _rule(rule: worker_pb2.GCPolicy) -> list[str]:
    rows = [
        ("Filters", " ".join(rule.filters)),
        ("Keep duration", format_duration(rule.keepDuration) if rule.keepDuration > 0 else ""),
        *(
            (name, size(value, None) if value > 0 else "")
            for name, value in (
                ("Reserved space", rule.reservedSpace),
                ("Minimum free space", rule.minFreeSpace),
                ("Maximum used space", rule.maxUsedSpace),
            )
        ),
    ]
    all_ = f"\tAll:\t{str(rule.all).lower()}"
    return [all_, *(f"\t{name}:\t{value}" for name, value in rows if value)]


def _value(worker: worker_pb2.WorkerRecord) -> Fields:
    members = {
        "id": worker.ID,
        "labels": dict(sorted(worker.Labels.items())),
        "platforms": [struct(msgspec.to_builtins(one)) for one in worker_platforms(worker)],
        "gcPolicy": list(map(_policy, worker.GCPolicy)),
        "buildkitVersion": _version(worker.BuildkitVersion),
        "cdiDevices": list(map(_device, worker.CDIDevices)) or None,
    }
    return struct(members)


def _policy(rule: worker_pb2.GCPolicy) -> Fields:
    members = {
        "all": rule.all,
        "filter": list(rule.filters) or None,
        "keepDuration": rule.keepDuration,
        "reservedSpace": rule.reservedSpace,
        "maxUsedSpace": rule.maxUsedSpace,
        "minFreeSpace": rule.minFreeSpace,
    }
    return struct(members)


def _device(device: worker_pb2.CDIDevice) -> Fields:
    members = {
        "name": device.Name,
        "autoAllow": device.AutoAllow,
        "annotations": dict(sorted(device.Annotations.items())),
        "onDemand": device.OnDemand,
    }
    return struct(members)
