"""What a plan must know of the builder that it is for."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from croze.client.planning.options import BuildOptions, call_name
from croze.gotypes.booleans import parse_bool

log = logging.getLogger(__name__)


class BuilderTraits(Struct, frozen=True):
    """What a plan must know of the builder that it is for."""

    keeps_images: bool = False
    """It has an image store of its own, into which `--load` goes."""
    moby: bool = False
    """It is the one inside a Docker engine, which knows images by an exporter of its own and looks
    among its images before it asks a registry."""
    default_load: bool = False
    """Without an output, the result is loaded."""
    asked_to_load: bool = False
    """Its driver's option `default-load` says so, should it turn out to keep no images itself."""
    many_nodes: bool = False
    """It builds a part of what several nodes build."""
    place: str = ""
    """`BUILDER/NODE`, under which its builds are remembered."""
    host_gateway: str = ""
    """What `--add-host name:host-gateway` stands for."""
    attestations: bool = True
    proxy: Mapping[str, str] = field(default_factory=dict)
    """Proxy build arguments, such as the Docker CLI's configuration has."""
    driver: str = ""
    """The driver that brought it up in a place of its own, from which a result comes out only when
    somebody says where to; empty for others."""
    sure: bool = True
    """Whether it is known to be such a builder; else the daemon is asked."""


def crozed(*, sure: bool = True) -> BuilderTraits:
    """A `crozed` on this machine: it keeps images itself, and its steps share the host's
    network."""
    from croze.client.docker.cli_config import proxy_args

    return BuilderTraits(
        keeps_images=True,
        default_load=True,
        host_gateway="127.0.0.1",
        proxy=proxy_args(),
        sure=sure,
    )


def buildkitd(like: BuilderTraits) -> BuilderTraits:
    """A `buildkitd`: it keeps nothing but its cache, so that a load is a load into Docker."""
    return replace(
        like,
        keeps_images=False,
        default_load=like.asked_to_load,
        host_gateway="",
        sure=True,
    )


def contained(driver: str, *, default_load: bool) -> BuilderTraits:
    """A daemon that a driver keeps in a container, whosever it is: its images are at hand only once
    they are loaded into the Docker engine or pushed."""
    return replace(buildkitd(crozed()), driver=driver, default_load=default_load)


def warn_of_no_output(builds: Mapping[str, BuildOptions], driver: str = "remote") -> None:
    """buildx's warning for a builder that leaves results nowhere by itself."""
    lost = sorted(name for name, o in builds.items() if not (o.outputs or o.push or o.load))
    is_call = any(call_name(options.call) for options in builds.values())
    if lost and not is_call and not no_default_load():
        which = "" if lost == ["default"] else f"for {', '.join(lost)} target(s) "
        log.warning(
            "No output specified %swith %s driver. Build result will only remain in the build "
            "cache. To push result image into registry use --push or to load image into docker "
            "use --load",
            which,
            driver,
        )


def engine() -> BuilderTraits:
    """The builder inside a Docker engine: it keeps images. Whether it has a place for
    attestations, it is asked."""
    from croze.client.docker.cli_config import proxy_args

    return BuilderTraits(
        keeps_images=True,
        moby=True,
        default_load=True,
        attestations=False,
        proxy=proxy_args(),
    )


def no_default_load() -> bool:
    """Whether `BUILDX_NO_DEFAULT_LOAD` says that a result nobody asked for stays in the cache, on
    builders that would load it otherwise. What is no boolean is warned of."""
    text = os.environ.get("BUILDX_NO_DEFAULT_LOAD")
    off = parse_bool(text) if text is not None else False
    if off is None:
        log.warning("invalid non-bool value for BUILDX_NO_DEFAULT_LOAD: %s", text)
    return bool(off)
