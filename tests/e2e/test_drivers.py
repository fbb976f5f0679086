"""One suite for all drivers, each with a real daemon behind it (`docker-container` is in
`test_container_builders`), and Kubernetes through the commands."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from croze.builders.contexts import DockerContext
from croze.builders.model import BuilderNode
from croze.drivers.contract import Driver, NodeStatus
from croze.drivers.docker import DockerDriver
from croze.drivers.docker_versions import buildkit_of
from croze.drivers.kubernetes.config import cluster_of
from croze.drivers.kubernetes.driver import KubernetesDriver
from croze.drivers.own import OwnDriver
from croze.drivers.remote import RemoteDriver
from tests.conformance.drivers import check_driver
from tests.e2e.dockerd import own_dockerd
from tests.e2e.sandbox import Sandbox, execute
from tests.support.kubernetes import ApiServer, serve, to_socket
from tests.support.waiting import PATIENCE_S

RUNNING, INACTIVE = NodeStatus.RUNNING, NodeStatus.INACTIVE


@contextmanager
def api_server(desk: Sandbox, folder: Path) -> Iterator[tuple[ApiServer, Path]]:
    """In a thread: commands in pods reach the desk's daemon."""
    server = ApiServer({"buildctl dial-stdio": to_socket(desk.socket)})
    kubeconfigs: list[Path] = []
    ready, loop = threading.Event(), asyncio.new_event_loop()
    over: asyncio.Event = asyncio.Event()

    async def run() -> None:
        async with serve(server, folder) as kubeconfig:
            kubeconfigs.append(kubeconfig)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert ready.wait(PATIENCE_S)
        yield server, kubeconfigs[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(PATIENCE_S)
        loop.close()


async def test_the_remote_driver_keeps_the_contract(desk: Sandbox) -> None:
    driver: Driver = RemoteDriver(BuilderNode("n", desk.address))
    await check_driver(driver, fresh=RUNNING, stopped=RUNNING, removed=RUNNING)


async def test_the_kubernetes_driver_keeps_the_contract(desk: Sandbox, tmp_path: Path) -> None:
    with api_server(desk, tmp_path) as (_, kubeconfig):
        endpoint = f"kubernetes:///b?kubeconfig={kubeconfig}"
        node = BuilderNode("kube0", endpoint, driver_opts={"replicas": "2"})
        driver: Driver = KubernetesDriver(node, cluster_of(endpoint))
        await check_driver(driver, fresh=INACTIVE, stopped=RUNNING, removed=INACTIVE)


async def test_the_docker_driver_keeps_the_contract(tmp_path: Path) -> None:
    with own_dockerd(tmp_path) as host:
        driver: Driver = DockerDriver(BuilderNode("n", host), DockerContext("n", host))
        await check_driver(driver, fresh=RUNNING, stopped=RUNNING, removed=RUNNING)
        said = execute(
            ["docker", "-H", host, "version", "--format={{.Server.Version}}"], os.environ
        )
        assert await driver.version() == buildkit_of(said.stdout.strip())


def test_the_own_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped, it refuses builds at once; it may have to see others to their end."""
    monkeypatch.setenv("CROZE_ROOT", str(tmp_path / "root"))
    monkeypatch.setenv("CROZE_RUNTIME_DIR", str(tmp_path / "run"))
    driver: Driver = OwnDriver()

    async def from_start_to_end() -> None:
        from tests.conformance.drivers import check_boot, check_dial, check_streams

        assert await driver.status() is INACTIVE
        await check_boot(driver)
        await check_dial(driver)
        await check_streams(driver)
        for _ in range(2):
            await driver.remove(state=True, daemon=True)
            assert await driver.status() is RUNNING, "it is there for everybody"
        for _ in range(2):
            await driver.stop()
            assert await driver.status() is INACTIVE, "it takes no more builds"

    asyncio.run(from_start_to_end())


def test_a_builder_in_kubernetes(desk: Sandbox, tmp_path: Path) -> None:
    """From `create` to `rm`, with a build between."""
    with api_server(desk, tmp_path) as (server, kubeconfig):
        desk.extra_env["KUBECONFIG"] = str(kubeconfig)
        config = tmp_path / "settings.toml"
        config.write_text("debug = true\n")
        options = ["--driver-opt", "replicas=2", "--buildkitd-config", str(config)]
        create = ["create", "--driver", "kubernetes", "--name", "kube", *options]
        made = desk.croze(*create, "--bootstrap")
        assert "waiting for 2 pods to be ready, timeout: 2 minutes" in made.stderr
        context = desk.context("kube", {"Dockerfile": "FROM scratch\nCOPY a /a\n", "a": "1"})
        out = tmp_path / "out"
        desk.croze("build", "--builder", "kube", "-o", out, context)
        assert (out / "a").read_text() == "1"
        build = desk.croze("build", "--builder", "kube", context)
        assert "No output specified with kubernetes driver." in build.stderr
        shown = desk.croze("inspect", "kube").stdout
        assert shown.count("Name: ") == 3, "one for each pod, beside the builder's"
        assert 'Driver Options: replicas="2"' in " ".join(shown.split())
        assert "> debug = true" in shown
        [row] = [
            line
            for line in desk.croze("ls", "--format", "json").stdout.splitlines()
            if '"kube"' in line
        ]
        assert '"Dynamic":true' in row
        desk.croze("rm", "kube")
        gone = [path for method, path, _ in server.seen if method == "DELETE"]
        assert [path.rpartition("/")[2] for path in gone] == ["kube0", "kube0-config"]
