"""The container that a builder's daemon runs in, as the engine is asked for it.

Source: docker/buildx `driver/docker-container/driver.go`.
"""

from __future__ import annotations

from croze.builders.config_files import CONFIG_DIR, CONFIG_FILE
from croze.builders.model import BuilderNode
from croze.drivers.container_options import ContainerOptions
from croze.drivers.engine_api import EngineApi
from croze.errors import CrozeError, NotFound

STATE_DIR = "/var/lib/buildkit"
CGROUP_PARENT = "/docker/buildx"
GPUS = [{"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}]


async def container_settings(
    engine: EngineApi, name: str, image: str, node: BuilderNode, options: ContainerOptions
) -> dict[str, object]:
    """The body of the engine's `POST /containers/create`."""
    machine = await engine.machine()
    host: dict[str, object] = {
        "Privileged": True,
        "RestartPolicy": options.restart_policy,
        "Init": True,  # reaps what the processes of builds leave
        "Mounts": [{"Type": "volume", "Source": f"{name}_state", "Target": STATE_DIR}],
        **options.limits,
    }
    if options.network:
        host["NetworkMode"] = options.network
    if machine.cgroup_driver == "cgroupfs":
        # One cgroup for all builders, so that a machine can limit what builds take.
        host["CgroupParent"] = options.cgroup_parent or CGROUP_PARENT
    if machine.remaps_users:
        host["UsernsMode"] = "host"
    if await _lends_gpus(engine, image):
        host["DeviceRequests"] = GPUS
    return {
        "Image": image,
        "Env": list(options.env),
        "Cmd": daemon_flags(node),
        "HostConfig": host,
    }


async def _lends_gpus(engine: EngineApi, image: str) -> bool:
    """The API doesn't tell: a container that asks for them starts, or it doesn't."""
    config: dict[str, object] = {
        "Image": image,
        "Entrypoint": ["/bin/true"],
        "HostConfig": {"NetworkMode": "none", "AutoRemove": True, "DeviceRequests": GPUS},
    }
    try:
        container = await engine.create_container("", config)
    except CrozeError:
        return False
    try:
        await engine.start(container)
    except CrozeError:
        try:
            await engine.remove_container(container)
        except NotFound:
            pass  # as AutoRemove has it
        return False
    return True


def daemon_flags(node: BuilderNode) -> list[str]:
    """The daemon's words: its file of settings first, so that flags may say another."""
    config = (
        ["--config", f"{CONFIG_DIR}/{CONFIG_FILE}"] if CONFIG_FILE in (node.files or {}) else []
    )
    return [*config, *(node.flags or ())]
