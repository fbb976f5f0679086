"""What a source is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from croze.image.platform import Platform


@dataclass(frozen=True)
class SourceRequest:
    """A `SourceOp`: `identifier` is `scheme://rest`; `attrs` as in LLB."""

    identifier: str
    attrs: Mapping[str, str]
    platform: Platform | None = None
