"""What the machine's administrator has said of the builder: `provenance.d/*.json`.

Source: BuildKit `docs/buildkitd.toml.md` (`provenanceEnvDir`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from croze.errors import InvalidRequest
from croze.gotypes import gojson

_BUILTIN = ("buildConfig", "builderPlatform", "platform")


def read_facts(folder: Path) -> Mapping[str, object]:
    """The files' members together, later files first to say. No folder is no facts. Raises
    `InvalidRequest`."""
    facts: dict[str, object] = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        if file.suffix == ".json" and not file.is_dir():
            try:
                facts |= gojson.unmarshal(file.read_bytes(), type=dict[str, object])
            except (msgspec.MsgspecError, RecursionError) as error:
                raise InvalidRequest(f"failed to parse {file}: {error}") from None
    for key in _BUILTIN:
        if key in facts:
            raise InvalidRequest(
                f'key "{key}" is builtin and not allowed to be modified in provenance config'
            )
    return facts
