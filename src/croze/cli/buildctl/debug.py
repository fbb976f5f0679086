"""`buildctl debug workers` and `debug info`: by which others ask whether a daemon answers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from croze.cli.buildctl.connection import Connection
from croze.cli.buildctl.text import aligned, as_json, is_json, size
from croze.cli.common import Common
from croze.cli.flags import Flags, UsageError
from croze.gotypes.duration import format_duration
from croze.gotypes.tabwriter import align
from croze.image import platform as platforms
from croze.image.platform import Platform

if TYPE_CHECKING:
    from croze.api import worker_pb2

_THERE = ("info", "workers")
_ABSENT = ("ctl", "dump-llb", "dump-metadata", "get", "histories", "logs", "monitor")


def run(name: str, argv: Sequence[str], connection: Connection) -> int:
    what = argv[0] if argv else ""
    if what in _ABSENT:
        raise UsageError(
            f"buildctl debug {what} is not there; croze has history, llb and debug", name
        )
    if what not in _THERE:
        raise UsageError(f"buildctl debug requires one of {', '.join(_THERE)}", name)
    flags = Flags(f"buildctl debug {what}", f"display {what}", "[options]")
    flags.text("--format", help="Format the output using a Go template: '{{json .}}'")
    if what == "workers":
        flags.texts("-f", "--filter", help="containerd-style filter string slice")
        flags.switch("-v", "--verbose", help="Verbose output")
    read = flags.read(argv[1:], Common())
    json = is_json(read.format, flags.prog)
    if what == "info":
        asyncio.run(_info(connection, json=json))
    else:
        asyncio.run(_workers(connection, read.filter, json=json, verbose=read.verbose))
    return 0


async def _info(connection: Connection, *, json: bool) -> None:
    async with connection.client() as client:
        version = await client.info()
    if json:
        sys.stdout.write(as_json({"buildkitVersion": _version(version)}))
        return
    rows = [("BuildKit:", f"{version.package} {version.version} {version.revision}")]
    if version.dockerfileVersion:
        rows.append(("Dockerfile:", version.dockerfileVersion))
    sys.stdout.write(align("".join(f"{key}\t{value}\n" for key, value in rows), padding=1))


def _version(version: worker_pb2.BuildkitVersion) -> dict[str, object]:
    told = {
        "package": version.package,
        "version": version.version,
        "revision": version.revision,
        "dockerfileVersion": version.dockerfileVersion,
    }
    return {key: value for key, value in told.items() if value or key != "dockerfileVersion"}


async def _workers(
    connection: Connection, filters: Sequence[str], *, json: bool, verbose: bool
) -> None:
    async with connection.client() as client:
        workers = await client.workers(filters)
    if json:
        sys.stdout.write(as_json([_value(worker) for worker in workers]))
    elif verbose:
        sys.stdout.write(aligned("".join(map(_details, workers))))
    else:
        rows = [("ID", "PLATFORMS"), *((one.ID, _platforms(one)) for one in workers)]
        sys.stdout.write(aligned("".join(f"{id}\t{text}\n" for id, text in rows)))


def _of(worker: worker_pb2.WorkerRecord) -> list[Platform]:
    return [
        Platform(p.Architecture, p.OS, p.OSVersion, tuple(p.OSFeatures), p.Variant)
        for p in worker.platforms
    ]


def _platforms(worker: worker_pb2.WorkerRecord) -> str:
    return ",".join(platforms.format(platforms.normalize(one)) for one in _of(worker))


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


def _value(worker: worker_pb2.WorkerRecord) -> dict[str, object]:
    return {
        "id": worker.ID,
        "labels": dict(sorted(worker.Labels.items())),
        "platforms": _of(worker),
        "gcPolicy": [
            {
                "all": rule.all,
                "filter": list(rule.filters) or None,
                "keepDuration": rule.keepDuration,
                "reservedSpace": rule.reservedSpace,
                "maxUsedSpace": rule.maxUsedSpace,
                "minFreeSpace": rule.minFreeSpace,
            }
            for rule in worker.GCPolicy
        ],
        "buildkitVersion": _version(worker.BuildkitVersion),
        "cdiDevices": [
            {
                "name": device.Name,
                "autoAllow": device.AutoAllow,
                "annotations": dict(sorted(device.Annotations.items())),
                "onDemand": device.OnDemand,
            }
            for device in worker.CDIDevices
        ]
        or None,
    }
