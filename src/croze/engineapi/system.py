"""What the engine says of itself: `_ping`, `version`, `info`, `system/df`."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from croze.engineapi.answers import API_VERSION, HEADERS, MIN_API_VERSION, json
from croze.engineapi.build.cache import usage
from croze.engineapi.container_routes import views
from croze.engineapi.images.names import find_all
from croze.engineapi.images.routes import summary
from croze.engineapi.images.usage import shared_bytes, total_bytes
from croze.engineapi.images.views import view
from croze.engineapi.query import UrlQuery
from croze.engineapi.services import Services
from croze.errors import InvalidRequest
from croze.gotypes.moments import rfc3339_of
from croze.version import VERSION

PING = {
    "Builder-Version": "2",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Swarm": "inactive",
}
"""Builder 2 is BuildKit: clients build through `/grpc`."""


async def ping(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET` and `HEAD /_ping`."""
    text = "" if request.method == "HEAD" else "OK"
    return web.Response(text=text, headers={**HEADERS, **PING})


async def version(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /version`."""
    about = {
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "Arch": _arch(services),
        "Os": "linux",
        "KernelVersion": platform.release(),
    }
    component = {"Name": "Engine", "Version": VERSION, "Details": about}
    return json(
        {
            "Platform": {"Name": "Croze"},
            "Components": [component],
            "Version": VERSION,
            "GitCommit": "",
            "GoVersion": "",
            "BuildTime": "",
            **about,
        }
    )


async def info(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /info`. Containers are those that clients made: those of builds are not listed."""
    machine = services.machine
    containers = services.containers.all()
    running = sum(one.running for one in containers)
    return json(
        _host()
        | _FEATURES
        | {
            "ID": machine.id,
            "Containers": len(containers),
            "ContainersRunning": running,
            "ContainersPaused": 0,
            "ContainersStopped": len(containers) - running,
            "Images": len(find_all(services.images)),
            "Driver": machine.snapshotter,
            "NFd": len(os.listdir("/proc/self/fd")),
            "NGoroutines": len(asyncio.all_tasks()),
            "NEventsListener": services.events.listeners,
            "DockerRootDir": str(machine.root),
            "ServerVersion": VERSION,
            "Debug": machine.debug,
        }
    )


_FEATURES: Final[dict[str, object]] = {
    # This is how clients tell that images have the digests of their manifests for ids.
    "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]],
    "Plugins": {"Volume": [], "Network": [], "Authorization": None, "Log": ["json-file"]},
    "MemoryLimit": True,
    "SwapLimit": True,
    "CpuCfsPeriod": True,
    "CpuCfsQuota": True,
    "CPUShares": True,
    "CPUSet": True,
    "PidsLimit": True,
    "IPv4Forwarding": True,
    "BridgeNfIptables": False,
    "BridgeNfIp6tables": False,
    "OomKillDisable": False,
    "LoggingDriver": "json-file",
    "CgroupDriver": "cgroupfs",
    "DefaultRuntime": "crun",
    "Runtimes": {"crun": {"path": "crun"}},
    "InitBinary": "",
    "Isolation": "",
    "LiveRestoreEnabled": False,
    "GenericResources": None,
    "ExperimentalBuild": False,
    "IndexServerAddress": "https://index.docker.io/v1/",
    "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": []},
    "Swarm": {"LocalNodeState": "inactive"},
    "Labels": [],
    "SecurityOptions": [],
    "Warnings": None,
}
"""What every `crozed` can and can't do, and has none of."""


def _host() -> dict[str, object]:
    return {
        "CgroupVersion": "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1",
        "HttpProxy": os.environ.get("HTTP_PROXY", ""),
        "HttpsProxy": os.environ.get("HTTPS_PROXY", ""),
        "NoProxy": os.environ.get("NO_PROXY", ""),
        "SystemTime": rfc3339_of(datetime.now(UTC)),
        "KernelVersion": platform.release(),
        "OperatingSystem": _os_release("PRETTY_NAME", "linux"),
        "OSVersion": _os_release("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": socket.gethostname(),
    }


def _arch(services: Services) -> str:
    return services.machine.platforms[0].architecture


def _os_release(key: str, otherwise: str) -> str:
    try:
        return platform.freedesktop_os_release().get(key, otherwise)
    except OSError:
        return otherwise


KINDS = ("container", "image", "volume", "build-cache")
"""What takes room on disk."""


async def disk_usage(request: web.Request, services: Services) -> web.StreamResponse:
    """`GET /system/df`: the room that things take, of the kinds in `type`, or of all."""
    kinds = UrlQuery(request.query.items()).all("type") or list(KINDS)
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidRequest(f"unknown object type: {kind}")
    about: dict[str, object] = {
        "LayersSize": 0,
        "Images": None,
        "Containers": None,
        "Volumes": None,
        "BuildCache": None,
    }
    if "image" in kinds:
        images = find_all(services.images)
        shared = shared_bytes(services)
        about["LayersSize"] = total_bytes(images, services)
        about["Images"] = [
            {
                **summary(view(image, services), image, request, in_use),
                "SharedSize": shared[image.id],
                "Containers": in_use,
            }
            for image in images
            for in_use in (len(services.containers.using(image.id)),)
        ]
    if "container" in kinds:
        about["Containers"] = [views.row(each) for each in services.containers.all()]
    if "volume" in kinds:
        about["Volumes"] = []
    if "build-cache" in kinds:
        about["BuildCache"] = await usage(services)
    return json(about)
