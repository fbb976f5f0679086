"""`docker-container`: a daemon in a container of a Docker engine, dialled by `buildctl dial-stdio`
run in it.

Names, mounts and settings of the container are buildx's, so that each drives what the other made.
The image is what `image=` says; else Croze's own, where the engine has it (`OWN_IMAGE`, made by
`croze build` of this repository); else BuildKit's, pulled as buildx does.

Source: docker/buildx `driver/docker-container`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from croze.builders.config_files import CONFIG_DIR
from croze.builders.contexts import DockerContext
from croze.builders.model import BuilderNode
from croze.drivers.config_archive import archive
from croze.drivers.container_options import ContainerOptions, parse_options
from croze.drivers.container_settings import container_settings
from croze.drivers.contract import NodeStatus, silent
from croze.drivers.docker import DockerDriver
from croze.drivers.engine_api import EngineApi, engine_api
from croze.drivers.images import BUILDKIT_IMAGE, to_be_verified
from croze.drivers.multiplexed import STDOUT, MultiplexedOutput, frames
from croze.drivers.tunnel import Streams, carried_client, to_standard_error
from croze.errors import AlreadyExists, CrozeError, NotFound, Unavailable, Unsupported
from croze.progress.own import OwnStep, own_step
from croze.version import VERSION

if TYPE_CHECKING:
    from croze.client.connect import Client
    from croze.drivers.contract import Tell
    from croze.image.reference import Reference

OWN_IMAGE = f"localhost/croze:{VERSION}"
PREFIX = "buildx_buildkit_"
TRIES = 15
PAUSE_S = 0.12
"""Before the first look whether the daemon answers; the pauses grow by it, 14 s in all."""
DIAL = ("buildctl", "dial-stdio")
ASK = ("buildctl", "debug", "workers")
ASK_VERSION = ("buildkitd", "--version")


class ContainerDriver:
    """See `Driver`. Raises `InvalidRequest` for options that can't be."""

    def __init__(self, node: BuilderNode, context: DockerContext) -> None:
        self._node = node
        self._name = PREFIX + node.name
        self._context = context
        self._options = parse_options(node.driver_opts or {})

    @property
    def default_load(self) -> bool:
        return self._options.default_load

    async def status(self) -> NodeStatus:
        async with engine_api(self._context) as engine:
            try:
                container = await engine.container(self._name)
            except NotFound:
                return NodeStatus.INACTIVE
            return NodeStatus.RUNNING if container.state.running else NodeStatus.STOPPED

    async def dynamic_nodes(self) -> tuple[BuilderNode, ...]:
        return ()

    async def version(self) -> str:
        output: list[tuple[int, bytes]] = []
        async with engine_api(self._context) as engine:
            await self._run(engine, ASK_VERSION, output)
        text = b"".join(data for stream, data in output if stream == STDOUT).decode(
            errors="replace"
        )
        if len(words := text.split()) != 4:
            raise CrozeError(f"unexpected version format: {text}")
        return words[2]

    async def boot(self, tell: Tell = silent) -> None:
        async with engine_api(self._context) as engine:
            try:
                container = await engine.container(self._name)
            except NotFound:
                container = None
            if container is not None and container.state.running:
                return
            with own_step("[internal] booting buildkit", tell) as step:
                if container is None:
                    await self._create(engine, step)
                else:
                    with step.part(f"starting container {self._name}"):
                        await engine.start(self._name)
                        await self._wait(engine, step)

    async def _create(self, engine: EngineApi, step: OwnStep) -> None:
        image = await self._image(engine, step)
        with step.part(f"creating container {self._name}"):
            settings = await container_settings(
                engine, self._name, image, self._node, self._options
            )
            try:
                await engine.create_container(self._name, settings)
            except AlreadyExists:  # somebody else was as fast: it is theirs to start
                await self._wait(engine, step)
                return
            files = archive({**(self._node.files or {}), **_provenance(self._options)})
            await engine.put_archive(self._name, CONFIG_DIR.rpartition("/")[0], files)
            await engine.start(self._name)
            await self._wait(engine, step)

    async def _image(self, engine: EngineApi, step: OwnStep) -> str:
        """The image to run, which the engine has."""
        if not self._options.image and await engine.has_image(OWN_IMAGE):
            return OWN_IMAGE
        image = self._options.image or BUILDKIT_IMAGE
        try:
            with step.part(f"pulling image {image}"):
                await engine.pull(image, _login(image))
        except CrozeError:
            if not await engine.has_image(image):
                raise
            with step.part(f"using local image {image}"):
                pass
        ref = to_be_verified(image) if not self._options.allow_untrusted_image else None
        return await self._verified(engine, ref, step) if ref is not None else image

    async def _verified(self, engine: EngineApi, ref: Reference, step: OwnStep) -> str:
        """The image by the digest whose signature holds. The engine's builder asks the registry."""
        from croze.client.decisions.builder_images import platform_of, verified_digest

        here = await engine.image_digest(str(ref))
        ref = ref.with_digest(here) if here else ref
        machine = await engine.machine()
        platform = platform_of(machine.os_type, machine.architecture)
        try:
            with step.part(f"verifying image {ref}"):
                async with DockerDriver(
                    BuilderNode("verifying", ""), self._context
                ).dial() as client:
                    digest = await verified_digest(client, ref, platform)
        except Unsupported as error:
            raise Unsupported(
                f"failed to verify image {ref}: the engine's builder can't look up signatures "
                f"({error}): name an image that is yours, or set the driver option "
                "allow-untrusted-image=true"
            ) from None
        except CrozeError as error:
            raise error.wrap(f"failed to verify image {ref}") from None
        pinned = str(ref.with_digest(digest))
        if not here and not await engine.has_image(pinned):
            with step.part(f"pulling image {pinned}"):
                await engine.pull(pinned, _login(pinned))
        return pinned

    async def _wait(self, engine: EngineApi, step: OwnStep) -> None:
        """Ask the daemon until it answers; raises with what it said if it doesn't."""
        output: list[tuple[int, bytes]] = []
        for attempt in range(1, TRIES + 1):
            try:
                await self._run(engine, ASK, output)
                return
            except CrozeError as error:
                failed = error
            await asyncio.sleep(attempt * PAUSE_S)
        async for stream, data in frames(_Held(await engine.logs(self._name))):
            step(data, stream)
        for stream, data in output:
            step(data, stream)
        raise failed

    async def _run(
        self, engine: EngineApi, command: Sequence[str], output: list[tuple[int, bytes]]
    ) -> None:
        """A command in the container, and what it has `said` by its end. Raises `CrozeError`."""
        output.clear()
        async with engine.exec(self._name, command) as (id, (reader, _)):
            async for piece in frames(reader):
                output.append(piece)
        if code := await engine.exit_code(id):
            raise Unavailable(f"exit code {code}")

    async def stop(self) -> None:
        async with engine_api(self._context) as engine:
            try:
                running = (await engine.container(self._name)).state.running
            except NotFound:
                return
            if running:
                await engine.stop(self._name)

    async def remove(self, *, state: bool, daemon: bool) -> None:
        if not daemon:
            return
        async with engine_api(self._context) as engine:
            try:
                container = await engine.container(self._name)
                await engine.remove_container(self._name)
            except NotFound:
                return
            volume = f"{self._name}_state"
            if state and any(mount.name == volume for mount in container.mounts or ()):
                await engine.remove_volume(volume)

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Client]:
        async with carried_client(self.streams) as client:
            yield client

    @asynccontextmanager
    async def streams(self) -> AsyncIterator[Streams]:
        async with (
            engine_api(self._context) as engine,
            engine.exec(self._name, DIAL) as (_, (reader, writer)),
        ):
            yield MultiplexedOutput(reader, to_standard_error), writer


class _Held:
    """Bytes that are there already, as a `tunnel.TunnelReader`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, n: int = -1, /) -> bytes:
        data, self._data = self._data, b""
        return data


def _provenance(options: ContainerOptions) -> Mapping[str, bytes]:
    from croze.drivers.github import actions_context

    context = actions_context() if options.provenance_gha else None
    return {} if context is None else {"provenance.d/github_actions_context.json": context}


def _login(image: str) -> str:
    """Docker's header with the user's credentials for an image's registry."""
    import base64

    from croze.gotypes import gojson
    from croze.image import reference
    from croze.session.dockerconfig import HUB_HOST, DockerConfig

    host = reference.parse(image).domain
    auth = DockerConfig.load().auth_for(HUB_HOST if host == "docker.io" else host)
    members = {
        "username": auth.username,
        "password": auth.password,
        "identitytoken": auth.identity_token,
        "registrytoken": auth.registry_token,
    }
    login = {key: value for key, value in members.items() if value}
    return base64.urlsafe_b64encode(gojson.marshal(login)).decode()
