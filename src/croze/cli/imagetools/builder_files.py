"""What the builder's daemon was configured with: its registries are those of images too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from croze.drivers.reach import is_address
from croze.files.docker_config import buildx_dir

if TYPE_CHECKING:
    from croze.cli.common import Common


def builder_files(common: Common) -> dict[str, bytes]:
    """Of the builder's first node. Raises `NotFound` for a builder that nobody knows."""
    from croze.builders.known import known

    none_stored = not common.builder and not (buildx_dir() / "instances").exists()
    if none_stored or is_address(common.builder):
        return {}
    with known() as here:
        builder = here.builder(common.builder)
    return dict(builder.members[0].files or {}) if builder.members else {}
