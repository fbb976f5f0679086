"""SLSA provenance predicates, v1 and v0.2 (slsa.dev), with BuildKit's additions.

Source: BuildKit `docs/attestations/slsa-definitions.md`. The order of fields is that of its JSON.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from croze.attest.buildsteps import in_order, through_map
from croze.attest.requests import ConfigSource, Parameters
from croze.gotypes import gojson

V1 = "https://slsa.dev/provenance/v1"
V02 = "https://slsa.dev/provenance/v0.2"
BUILD_TYPE_V1 = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
BUILD_TYPE_V02 = "https://mobyproject.org/buildkit@v1"
_METADATA_V02 = "https://mobyproject.org/buildkit@v1#metadata"
_HERMETIC_V02 = "https://mobyproject.org/buildkit@v1#hermetic"


class ResolvedDependency(msgspec.Struct, frozen=True, omit_defaults=True):
    """A material, as SLSA v1 has it."""

    uri: str = ""
    digest: Mapping[str, str] = {}


class Predicate(Struct, frozen=True):
    """The facts of a build that both versions of the predicate tell, each in its own words. Times
    are RFC 3339."""

    materials: tuple[ResolvedDependency, ...]
    config_source: ConfigSource
    request: Parameters
    builder_id: str
    environment: Mapping[str, object]
    """What is said of the builder; facts of the machine's administrator besides."""
    build_config: Mapping[str, object] | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    """BuildKit's: vcs, source, layers."""
    invocation_id: str = ""
    started: str = ""
    finished: str = ""
    hermetic: bool = False
    request_complete: bool = False
    materials_complete: bool = False
    reproducible: bool = False

    def min(self) -> Predicate:
        """The predicate without what may be private, for `mode=min`."""
        request, less = self.request.scrubbed()
        return replace(self, request=request, request_complete=self.request_complete and not less)

    def v1(self) -> object:
        """SLSA v1's predicate, to be marshalled. What Go takes through a map comes out sorted."""
        dependencies = {"resolvedDependencies": self.materials} if self.materials else {}
        return _ordered(
            buildDefinition=_ordered(
                buildType=BUILD_TYPE_V1,
                **dependencies,
                externalParameters=_ordered(configSource=self.config_source, request=self.request),
                internalParameters=self._internal_parameters(),
            ),
            runDetails=_ordered(
                builder={"id": self.builder_id},
                metadata=self._metadata_v1(),
            ),
        )

    def _internal_parameters(self) -> object:
        config = {"buildConfig": self.build_config} if self.build_config is not None else {}
        return through_map({**config, **self.environment})

    def _metadata_v1(self) -> object:
        return _ordered(
            **gojson.omit_empty(
                invocationId=self.invocation_id,
                startedOn=self.started,
                finishedOn=self.finished,
            ),
            buildkit_metadata=in_order(dict(self.metadata)),
            **gojson.omit_empty(buildkit_hermetic=self.hermetic),
            buildkit_completeness=_ordered(
                request=self.request_complete, resolvedDependencies=self.materials_complete
            ),
            **gojson.omit_empty(buildkit_reproducible=self.reproducible),
        )

    def v02(self) -> object:
        """SLSA v0.2's predicate, to be marshalled."""
        environment = dict(self.environment)
        environment["platform"] = environment.pop("builderPlatform")
        source = self.config_source
        return _ordered(
            builder={"id": self.builder_id},
            buildType=BUILD_TYPE_V02,
            **gojson.omit_empty(materials=self.materials),
            invocation=_ordered(
                configSource=_ordered(
                    **gojson.omit_empty(
                        uri=source.uri, digest=source.digest, entryPoint=source.path
                    )
                ),
                parameters=self.request,
                environment=through_map(environment),
            ),
            **gojson.omit_empty(
                buildConfig=in_order(self.build_config) if self.build_config is not None else None
            ),
            metadata=self._metadata_v02(),
        )

    def _metadata_v02(self) -> object:
        members: dict[str, object] = gojson.omit_empty(
            buildInvocationID=self.invocation_id,
            buildStartedOn=self.started,
            buildFinishedOn=self.finished,
        )
        members["completeness"] = _ordered(
            parameters=self.request_complete,
            environment=True,
            materials=self.materials_complete,
        )
        members["reproducible"] = self.reproducible
        members[_METADATA_V02] = in_order(dict(self.metadata))
        if self.hermetic:
            members[_HERMETIC_V02] = True
        return _ordered(**members)


def _ordered(**members: object) -> msgspec.Raw:
    """An object whose members keep their order."""
    inner = b",".join(
        msgspec.json.encode(key) + b":" + gojson.marshal(value) for key, value in members.items()
    )
    return msgspec.Raw(b"{" + inner + b"}")
