"""What the flags say of a definition that is built: `croze llb build`'s and `buildctl build`'s."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from croze.client.builds.llb import DefinitionBuild
    from croze.client.flags.output import OutputFlag


def definition_build(
    args: Namespace,
    definition: bytes,
    outputs: Sequence[str | OutputFlag],
    *,
    metadata_file: str = "",
    raw_ssh: bool = False,
) -> DefinitionBuild:
    """The build of `definition` (empty where a frontend makes one). `args` has the flags that both
    commands have; what they read in ways of their own comes beside it."""
    from croze.client.builds.llb import DefinitionBuild

    return DefinitionBuild(
        definition=definition,
        outputs=outputs,
        locals=args.local,
        secrets=args.secret,
        ssh=args.ssh,
        allow=args.allow,
        oci_layouts=args.oci_layout,
        source_policy=args.source_policy_file,
        no_cache=args.no_cache,
        metadata_file=metadata_file,
        proxy_network=args.proxy_network,
        raw_ssh=raw_ssh,
    )
