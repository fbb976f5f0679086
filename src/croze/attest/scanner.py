"""SBOMs made by an image that looks into a filesystem.

Source: BuildKit `docs/attestations/sbom-protocol.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from croze import llb
from croze.api import ops_pb2
from croze.errors import InvalidRequest
from croze.image.config import RunConfig
from croze.image.platform import Platform
from croze.llb.definition import definition_to_state
from croze.llb.state import State

SPDX: Final = "https://spdx.dev/Document"
REASON: Final = "reason"
SBOM_REASON: Final = b"sbom"
CORE_KEY: Final = "sbom-core"
CORE: Final = "sbom"
_SOURCES: Final = "/run/src"
_DESTINATION: Final = "/run/out/"


class ScanTarget(Struct, frozen=True):
    """What one platform's SBOM is about: the result, and what else was used, by stage name or
    `context`. With `ignore_cache` the scan is to run again."""

    core: ops_pb2.Definition
    extras: Mapping[str, ops_pb2.Definition] = field(default_factory=dict)
    ignore_cache: bool = False


class Scanner(Struct, frozen=True):
    """Makes SBOMs by running an image. `parameters` are what the request says besides."""

    image: str
    config: RunConfig
    platform: Platform
    parameters: Mapping[str, str]

    def scan(self, name: str, target: ScanTarget) -> ops_pb2.Definition:
        """A definition that makes a directory of statements. Raises `InvalidRequest` for an image
        that runs nothing."""
        args = (*self.config.entrypoint, *self.config.cmd)
        if not args:
            raise InvalidRequest(f"scanner {self.image} does not have cmd")
        image = llb.image(self.image, platform=self.platform)
        extras = {key: definition_to_state(each) for key, each in sorted(target.extras.items())}
        scan = image.run(
            args,
            mounts=[
                llb.tmpfs("/tmp"),
                _source(f"core/{CORE}", definition_to_state(target.core)),
                *(_source(f"extras/{CORE}-{key}", state) for key, state in extras.items()),
                llb.bind(_DESTINATION, llb.scratch()),
            ],
            env=self._env(with_extras=bool(extras)),
            dir=self.config.working_dir or None,
            name=f"[{name}] generating sbom using {self.image}",
            platform=self.platform,
            ignore_cache=target.ignore_cache,
        )
        return scan.mount(_DESTINATION).marshal()

    def _env(self, *, with_extras: bool) -> dict[str, str]:
        env = dict(_pair(each) for each in self.config.env)
        env["BUILDKIT_SCAN_DESTINATION"] = _DESTINATION
        env["BUILDKIT_SCAN_SOURCE"] = f"{_SOURCES}/core/{CORE}"
        if with_extras:
            env["BUILDKIT_SCAN_SOURCE_EXTRAS"] = f"{_SOURCES}/extras"
        named = {f"BUILDKIT_SCAN_{key}": value for key, value in sorted(self.parameters.items())}
        return env | named


def _source(path: str, state: State) -> llb.Mount:
    return llb.bind(f"{_SOURCES}/{path}", state, readonly=True)


def _pair(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value
