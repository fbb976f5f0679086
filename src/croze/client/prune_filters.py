"""What the Docker CLI's configuration adds to every pruning."""

from __future__ import annotations

from croze.session.dockerconfig import DockerConfig


def configured_filters() -> list[str]:
    """`pruneFilters` of the configuration. Raises `CrozeError` for one that can't be read."""
    return DockerConfig.load().prune_filters
