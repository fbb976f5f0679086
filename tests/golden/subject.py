"""How the Dockerfile frontend is driven: the one place that knows its functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from msgspec.structs import replace

from croze.api import ops_pb2
from croze.dockerfile import subrequests
from croze.dockerfile.contexts import BuildContexts
from croze.dockerfile.convert import convert, convert_lint, convert_outline
from croze.dockerfile.lint import WarnSink
from croze.dockerfile.options import DockerfileOptions, parse_options
from croze.errors import CrozeError
from croze.image import platform as platforms
from croze.image.platform import Platform
from croze.llb.execop import Device
from croze.llb.sourcemap import SourceMap
from tests.golden.stub_resolver import StubResolver


class Failed(Exception):
    """A step of the frontend ended with an error that a user may see."""

    def __init__(self, phase: str, error: CrozeError) -> None:
        super().__init__(str(error))
        self.phase = phase
        self.error = error


@dataclass(frozen=True)
class Built:
    """One platform's result. Configs are parsed JSON."""

    definition: ops_pb2.Definition
    image: Any
    base_image: Any
    epoch: int | None
    ignore_cache: bool
    sbom_extras: Mapping[str, ops_pb2.Definition]


class Subject:
    """One case on its way through the frontend."""

    def __init__(self, opts: Mapping[str, Any], resolver: StubResolver) -> None:
        try:
            parsed = parse_options(
                opts.get("opts", {}), resolver.worker_platforms(), resolver.has_cap
            )
        except CrozeError as err:
            raise Failed("options", err) from err
        labs = opts.get("channel") == "labs"
        self.options = replace(parsed, devices=_devices(opts), labs=labs)
        self.contexts = BuildContexts(self.options, resolver)
        self.resolver = resolver

    async def read(self) -> SourceMap:
        try:
            return await self.contexts.read_dockerfile()
        except CrozeError as err:
            raise Failed("read", err) from err

    async def build(self, source: SourceMap, platform: Platform | None, sink: WarnSink) -> Built:
        try:
            result = await convert(source, self.contexts, platform=platform, warn=sink)
        except CrozeError as err:
            raise Failed("convert", err) from err
        try:
            definition = result.state.marshal()
            extras = {name: state.marshal() for name, state in result.sbom_extras.items()}
        except CrozeError as err:
            raise Failed("marshal", err) from err
        return Built(
            definition=definition,
            image=json.loads(result.image),
            base_image=json.loads(result.base_image) if result.base_image else None,
            epoch=result.epoch,
            ignore_cache=result.ignore_cache,
            sbom_extras=extras,
        )

    async def lint(self, source: SourceMap) -> subrequests.LintReport:
        return await convert_lint(source, self.contexts)

    async def outline(self, source: SourceMap) -> subrequests.Outline:
        return await convert_outline(source, self.contexts)

    def config(self) -> dict[str, Any]:
        """The options in the corpus's form."""
        options = self.options
        required: dict[str, Any] = {
            "target_platforms": [platforms.format_all(p) for p in options.target_platforms],
            "build_platforms": [platforms.format_all(p) for p in options.build_platforms],
            "multi_platform": options.multi_platform,
            "image_resolve_mode": options.resolve_mode,
            "network_mode": {"sandbox": "UNSET"}.get(options.network, options.network.upper()),
        }
        return required | {key: value for key, value in _optional(options).items() if value}


def _devices(opts: Mapping[str, Any]) -> list[Device]:
    devices = opts.get("convert_opt", {}).get("devices", [])
    return [Device(item["name"], bool(item.get("optional"))) for item in devices]


def _optional(options: DockerfileOptions) -> dict[str, Any]:
    sbom = options.sbom
    return {
        "target": options.target,
        "build_args": dict(options.build_args),
        "labels": dict(options.labels),
        "hostname": options.hostname,
        "cache_id_namespace": options.cache_namespace,
        "cgroup_parent": options.cgroup_parent,
        "shm_size": options.shm_size_bytes,
        "extra_hosts": [{"host": name, "ip": ip} for name, ip in options.extra_hosts],
        "ulimits": [_ulimit(limit) for limit in options.ulimits],
        "linux_resources": _resources(options),
        "cache_imports": [{"type": c.type, "attrs": dict(c.attrs)} for c in options.cache_imports],
        "sbom": sbom and {"generator": sbom.generator, "parameters": dict(sbom.parameters)},
    }


def _ulimit(limit: Any) -> dict[str, str]:
    numbers = {"Soft": limit.soft, "Hard": limit.hard}
    return {"Name": limit.name} | {key: str(value) for key, value in numbers.items() if value}


def _resources(options: DockerfileOptions) -> Any:
    return options.resources and MessageToDict(options.resources.message())
