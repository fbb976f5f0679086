"""What the Docker CLI's configuration says of every pruning and of every build."""

from __future__ import annotations

from croze.files.docker_config import config_dir
from croze.session.dockerconfig import DockerConfig


def configured_filters() -> list[str]:
    """`pruneFilters` of the configuration. Raises `CrozeError` for one that can't be read."""
    return DockerConfig.load().prune_filters


def configured_proxies() -> dict[str, str]:
    """The proxies of builds, by their variables' names: those of the engine that the Docker CLI
    would ask, else the default ones. Raises `CrozeError` for a configuration that can't be read."""
    config = DockerConfig.load()
    return config.proxies(_engine_address()) if config.has_proxies_of_engines else config.proxies()


def proxy_args() -> dict[str, str]:
    """Build arguments for those proxies."""
    proxies = configured_proxies()
    return {**proxies, **{name.lower(): value for name, value in proxies.items()}}


def _engine_address() -> str:
    from croze.builders.contexts import Contexts  # for few, and builds are to begin soon

    contexts = Contexts(config_dir())
    engine = contexts.find(contexts.current)
    return engine.host if engine is not None else ""
