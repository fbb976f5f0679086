"""What the builder's daemon was configured with: its registries are those of images too."""

from __future__ import annotations

from croze.builders.choose import is_address
from croze.builders.known import known
from croze.files.docker_config import buildx_dir


def builder_files(name: str) -> dict[str, bytes]:
    """The files of the first node of the builder of that name, or of the one in force. Raises
    `NotFound` for a builder that nobody knows."""
    none_stored = not name and not (buildx_dir() / "instances").exists()
    if none_stored or is_address(name):
        return {}
    with known() as here:
        builder = here.builder(name)
    return dict(builder.members[0].files or {}) if builder.members else {}
