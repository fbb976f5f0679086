"""Where steps run: the executor."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path

from croze.aio.threads import in_thread
from croze.daemon.config.settings import Settings
from croze.daemon.host.helper import HostHelper
from croze.daemon.worker.networks import networks
from croze.runtime import cgroup_root
from croze.runtime.cgroup_parent import CgroupParent
from croze.runtime.etc_files import DnsConfig
from croze.runtime.oci import OciConfig, OciExecutor


async def open_executor(
    settings: Settings, helper: HostHelper, stack: AsyncExitStack
) -> OciExecutor:
    """The executor of all steps. Containers that a killed daemon has left are removed first."""
    await in_thread(cgroup_root.prepare)
    executor = await _executor(settings, stack)
    helper.watch(executor.pids)
    await executor.sweep()
    return executor


async def _executor(settings: Settings, stack: AsyncExitStack) -> OciExecutor:
    config = settings.config
    dns = config.dns
    state_dir = own_folder(settings.root / "executor")
    return OciExecutor(
        OciConfig(
            state_dir=state_dir,
            networks=await networks(config.worker.oci, state_dir, stack),
            binary=config.worker.oci.binary,
            cgroup_parent=CgroupParent.parse(config.worker.oci.default_cgroup_parent),
            dns=DnsConfig(
                nameservers=tuple(dns.nameservers),
                options=tuple(dns.options),
                search=tuple(dns.search_domains),
            )
            if dns
            else DnsConfig(),
            private_mounts=os.getuid() == 0,
            rootless=config.worker.oci.rootless,
            process_sandbox=not config.worker.oci.no_process_sandbox,
            apparmor_profile=config.worker.oci.apparmor_profile,
            trace_socket=settings.trace_socket,
        )
    )


def own_folder(path: Path) -> Path:
    """The folder, made for this user alone if it isn't there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
