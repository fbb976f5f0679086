"""An image config that is being written: instructions change it one by one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct, field
from msgspec.structs import replace

from croze.errors import InvalidRequest
from croze.image import config as image_config
from croze.image.config import Healthcheck, HistoryEntry, ImageConfig, RootFS, RunConfig
from croze.image.platform import Platform
from croze.llb.execop import default_path

_COMMENT = "buildkit.dockerfile.v0"


class WorkingImage(Struct):
    """What `ImageConfig` says, open to change."""

    platform: Platform = field(default_factory=lambda: Platform("", ""))
    author: str = ""
    created: str | None = None
    user: str = ""
    exposed_ports: set[str] = field(default_factory=set)
    env: dict[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: set[str] = field(default_factory=set)
    working_dir: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    args_escaped: bool = False
    healthcheck: Healthcheck | None = None
    on_build: list[str] = field(default_factory=list)
    shell: tuple[str, ...] = ()
    rootfs: RootFS = field(default_factory=RootFS)
    history: list[HistoryEntry] = field(default_factory=list)

    @property
    def os(self) -> str:
        return self.platform.os

    def copy(self) -> WorkingImage:
        """A copy to go on with in another stage; triggers stay behind."""
        return replace(
            self,
            exposed_ports=set(self.exposed_ports),
            env=dict(self.env),
            volumes=set(self.volumes),
            labels=dict(self.labels),
            history=list(self.history),
            on_build=[],
        )

    def ensure_path(self, os: str) -> None:
        """A `PATH` is always there, but on Windows, where the system has it."""
        if "PATH" not in self.env and os != "windows":
            self.env["PATH"] = default_path(os)

    def with_shell(self, args: Sequence[str]) -> tuple[str, ...]:
        """The command line for words in shell form."""
        return (*(self.shell or _default_shell(self.os)), " ".join(args))

    def commit(self, message: str, *, layer: bool, epoch: int | None) -> None:
        """One row of history."""
        created = _format_epoch(epoch) if epoch is not None else None
        self.history.append(
            HistoryEntry(
                created=created, created_by=message, comment=_COMMENT, empty_layer=not layer
            )
        )

    def finish(self) -> ImageConfig:
        return ImageConfig(
            architecture=self.platform.architecture,
            os=self.platform.os,
            created=self.created,
            author=self.author,
            os_version=self.platform.os_version,
            os_features=self.platform.os_features,
            variant=self.platform.variant,
            config=RunConfig(
                user=self.user,
                exposed_ports={port: {} for port in sorted(self.exposed_ports)},
                env=tuple(f"{k}={v}" for k, v in self.env.items()),
                entrypoint=self.entrypoint,
                cmd=self.cmd,
                volumes={path: {} for path in sorted(self.volumes)},
                working_dir=self.working_dir,
                labels=dict(sorted(self.labels.items())),
                stop_signal=self.stop_signal,
                args_escaped=self.args_escaped,
                healthcheck=self.healthcheck,
                on_build=tuple(self.on_build),
                shell=self.shell,
            ),
            rootfs=self.rootfs,
            history=tuple(self.history),
        )


def working_image(config: ImageConfig) -> WorkingImage:
    """Start from a base image's config. Its creation time does not carry over."""
    run = config.config
    return WorkingImage(
        platform=config.platform,
        author=config.author,
        user=run.user,
        exposed_ports=set(run.exposed_ports),
        env=_env(run.env),
        entrypoint=run.entrypoint,
        cmd=run.cmd,
        volumes=set(run.volumes),
        working_dir=run.working_dir,
        labels=dict(run.labels),
        stop_signal=run.stop_signal,
        args_escaped=run.args_escaped,
        healthcheck=run.healthcheck,
        on_build=list(run.on_build),
        shell=run.shell,
        rootfs=config.rootfs,
        history=list(config.history),
    )


def empty_image(platform: Platform) -> WorkingImage:
    """Start from nothing."""
    return working_image(image_config.empty(platform))


def _env(pairs: Sequence[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        variables[key] = value
    return variables


def _default_shell(os: str) -> tuple[str, ...]:
    return ("cmd", "/S", "/C") if os == "windows" else ("/bin/sh", "-c")


def _format_epoch(epoch: int) -> str:
    from croze.gotypes.moments import rfc3339_of  # few builds have one

    try:
        return rfc3339_of(datetime.fromtimestamp(epoch, UTC))
    except (ValueError, OverflowError, OSError):
        raise InvalidRequest(
            "failed to marshal image config: json: error calling MarshalJSON for type"
            " *time.Time: Time.MarshalJSON: year outside of range [0,9999]"
        ) from None


def config_json(config: ImageConfig) -> bytes:
    """The config's JSON. Bytes that are not UTF-8 become replacement characters."""
    return image_config.marshal(config)
