"""What every op can be told beside what it does: constraints and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

import msgspec
from msgspec import Struct

from croze.api import ops_pb2
from croze.gotypes.strings import shown
from croze.image.platform import Platform
from croze.llb.sourcemap import SourceLocation
from croze.status import ProgressGroup

CUSTOM_NAME: Final = "llb.customname"


class LinuxResources(Struct, frozen=True):
    """Limits of an exec, 0 or empty for none; bytes and microseconds. Not part of its identity."""

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""

    def message(self) -> ops_pb2.LinuxResources:
        """The limits as `pb.LinuxResources`."""
        return ops_pb2.LinuxResources(
            memory=self.memory,
            memorySwap=self.memory_swap,
            cpuShares=self.cpu_shares,
            cpuPeriod=self.cpu_period,
            cpuQuota=self.cpu_quota,
            cpusetCpus=self.cpuset_cpus,
            cpusetMems=self.cpuset_mems,
        )


class OpOptions(TypedDict, total=False):
    """Keyword arguments that every function which makes an op takes."""

    name: str
    """What progress shows in place of a name derived from the op."""
    description: Mapping[str, str]
    """Free metadata by key."""
    platform: Platform
    """Run or resolve for this platform rather than the state's."""
    ignore_cache: bool
    """Run again even if the result is cached."""
    export_cache: bool
    """Force the result into, or keep it out of, an exported cache."""
    progress_group: ProgressGroup
    """Fold the op in progress displays."""
    locations: Sequence[SourceLocation]
    """Where it comes from, for error messages."""
    resources: LinuxResources
    """Limits of an exec."""
    worker_filters: Sequence[str]
    """Which workers may run it."""


class Metadata(msgspec.Struct, frozen=True):
    """Facts about an op that are not part of its identity (`pb.OpMetadata`)."""

    ignore_cache: bool = False
    description: Mapping[str, str] = {}
    export_cache: bool | None = None
    caps: frozenset[str] = frozenset()
    progress_group: ProgressGroup | None = None
    resources: LinuxResources | None = None

    def fill(self, message: ops_pb2.OpMetadata) -> None:
        """Lay this over what the message says already."""
        if self.ignore_cache:
            message.ignore_cache = True
        message.description.update({k: shown(v) for k, v in self.description.items()})
        if self.export_cache is not None:
            message.export_cache.Value = self.export_cache
        message.caps.update(dict.fromkeys(self.caps, True))
        if (group := self.progress_group) is not None:
            message.progress_group.CopyFrom(
                ops_pb2.ProgressGroup(id=group.id, name=shown(group.name), weak=group.weak)
            )
        if self.resources is not None:
            message.linux_resources.CopyFrom(self.resources.message())


class Constraints(msgspec.Struct, frozen=True):
    """The options of one op, as a value."""

    platform: Platform | None = None
    worker_filters: tuple[str, ...] = ()
    metadata: Metadata = Metadata()
    locations: tuple[SourceLocation, ...] = ()

    def with_caps(self, *ids: str) -> Constraints:
        """Needing these capabilities too."""
        caps = self.metadata.caps.union(ids)
        metadata = msgspec.structs.replace(self.metadata, caps=caps)
        return msgspec.structs.replace(self, metadata=metadata)


def constraints_of(options: OpOptions, *caps: str) -> Constraints:
    """The value of keyword arguments, with the capabilities the op needs."""
    description = dict(options.get("description", {}))
    if "name" in options:
        description[CUSTOM_NAME] = options["name"]
    return Constraints(
        platform=options.get("platform"),
        worker_filters=tuple(options.get("worker_filters", ())),
        metadata=Metadata(
            ignore_cache=options.get("ignore_cache", False),
            description=description,
            export_cache=options.get("export_cache"),
            caps=frozenset(caps),
            progress_group=options.get("progress_group"),
            resources=options.get("resources"),
        ),
        locations=tuple(options.get("locations", ())),
    )
