"""Definitions from other programs, built as they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from croze.client.builds.definitions import parse
from croze.client.builds.metadata import written
from croze.client.builds.result import decoded_metadata
from croze.client.connect import Dial
from croze.client.flags import source_policy
from croze.client.flags.output import OutputFlag, parse_outputs
from croze.client.flags.pairs import pairs
from croze.client.flags.session import parse_allow, parse_secrets, parse_ssh
from croze.client.plan import LocalDir, SolvePlan
from croze.client.planning.outputs import check_delete, create_exports
from croze.digests import digest_of
from croze.errors import InvalidRequest
from croze.files.atomic import file_named, write_atomically
from croze.llb.marshal import op_blobs

NO_LOCAL = "invalid local: invalid value "
NO_LAYOUT = (
    "invalid oci-layout: oci-layout option must be 'id=path/to/layout', instead had invalid "
)


class DefinitionBuild(Struct, frozen=True, kw_only=True):
    """What `croze llb build` and `buildctl build` are told, in the words of their flags."""

    definition: bytes
    outputs: Sequence[str | OutputFlag] = ()
    locals: Sequence[str] = ()
    secrets: Sequence[str] = ()
    ssh: Sequence[str] = ()
    allow: Sequence[str] = ()
    oci_layouts: Sequence[str] = ()
    source_policy: str = ""
    no_cache: bool = False
    metadata_file: str = ""
    proxy_network: bool = False
    raw_ssh: bool = False
    """Whether `--ssh` knows `raw=true`."""


def make_plan(build: DefinitionBuild, *, has_frontend: bool = False) -> SolvePlan:
    """The solve request; without the definition, if there is a frontend to make one. Raises
    `InvalidRequest`."""
    definition = None if has_frontend else _definition(build)
    policy = Path(build.source_policy) if build.source_policy else None
    allowed = parse_allow(build.allow)
    exports = create_exports(parse_outputs(build.outputs))
    check_delete(exports, allowed.local_delete)
    return SolvePlan(
        definition=definition,
        source_policy=source_policy.read(policy) if policy else b"",
        layouts=_named_paths(build.oci_layouts, NO_LAYOUT),
        exports=exports,
        local_dirs={n: LocalDir(p) for n, p in _named_paths(build.locals, NO_LOCAL).items()},
        secrets=parse_secrets(build.secrets),
        ssh=parse_ssh(build.ssh, knows_raw=build.raw_ssh),
        entitlements=list(allowed.entitlements),
        proxy_network=build.proxy_network,
    )


def _named_paths(texts: Sequence[str], problem: str) -> dict[str, Path]:
    """The paths of `name=path` texts. Raises `InvalidRequest` for one without a path: the working
    directory is not lent for want of a word."""
    if without := [text for text in texts if "=" not in text]:
        raise InvalidRequest(problem + without[0])
    return {name: Path(path) for name, path in pairs(texts, from_env=False).items()}


def _definition(build: DefinitionBuild) -> bytes:
    definition = parse(build.definition)
    if build.no_cache:
        for blob in op_blobs(definition):
            definition.metadata[digest_of(blob)].ignore_cache = True
    return definition.SerializeToString()


async def build(request: DefinitionBuild, *, dial: Dial, progress: str) -> dict[str, str]:
    """Build on the daemon that `dial` reaches; the exporters' response."""
    from croze.progress.display import make_display, running

    plan = make_plan(request)
    display = make_display(progress, sys.stderr.buffer)
    try:
        async with dial() as client, running(display):
            response = (await client.solve(plan, display.update)).exporter_response
        if request.metadata_file:
            text = json.dumps(decoded_metadata(response), indent=2)
            with written(request.metadata_file, "metadata file"):
                write_atomically(file_named(request.metadata_file), text.encode())
        return response
    finally:
        plan.close()
