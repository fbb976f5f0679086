"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import gc
import os
import pwd
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.app import app_context
from tests.e2e.docker_engine import Engine, running_engine
from tests.e2e.mounts_machine import Machine, machine_for
from tests.e2e.peers import World, opened_world
from tests.e2e.sandbox import Sandbox, registry
from tests.e2e.users import ordinary_user, shared_python
from tests.support import clouds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is e2e and needs root."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if os.getuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A running daemon; afterwards it must stop cleanly and leave nothing."""
    with Sandbox(tmp_path).running() as made:
        yield made


@pytest.fixture
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox whose daemon the test starts itself, if at all; it ends as `sandbox` does."""
    with Sandbox(tmp_path_factory.mktemp("stopped")).ending() as made:
        yield made


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One daemon for all tests of a file, with every entitlement to give."""
    allowed = ("network.host", "security.insecure")
    flags = (f"--allow-insecure-entitlement={name}" for name in allowed)
    with Sandbox(tmp_path_factory.mktemp("desk")).running(*flags) as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Path]:
    """A Python with our packages that other users can run; see `users.shared_python`."""
    with shared_python() as folder:
        yield folder


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A daemon that serves Docker's API, for all tests of a file. Files that want something in it
    put that in a fixture of the same name."""
    with running_engine(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture(scope="module")
def thief() -> Iterator[pwd.struct_passwd]:
    """Another user of the machine."""
    with ordinary_user("croze-thief") as made:
        yield made


@pytest.fixture
def machine(desk: Sandbox, busybox: Path, request: pytest.FixtureRequest) -> Machine:
    """One without cache mounts and without a cache, on the file's daemon."""
    return machine_for(request.node.name, desk, busybox)


@pytest.fixture
def app(sandbox: Sandbox) -> Path:
    """The context of `tests.e2e.app`."""
    return app_context(sandbox)


@pytest.fixture(scope="session")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The busybox image, as an OCI layout."""
    layout = tmp_path_factory.mktemp("images") / "busybox"
    images.busybox_layout(layout)
    return layout


@pytest.fixture(scope="session")
def local_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry on loopback for the whole run: `host:port`."""
    with registry(tmp_path_factory.mktemp("registry") / "r") as host:
        yield host


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[clouds.Moto]:
    """An S3 that checks signatures, for the whole run."""
    with clouds.moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an account in Azure's storage, for the whole run."""
    with clouds.azurite(tmp_path_factory.mktemp("azurite")) as url:
        yield url


@pytest.fixture(scope="module")
def world(
    desk: Sandbox, busybox: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Everybody who builds the same: clients of the file's daemon, and a real `buildkitd`'s."""
    with opened_world(desk, busybox, tmp_path_factory.mktemp("peer")) as made:
        yield made


@pytest.fixture
def careless() -> Iterator[None]:
    """docker-py leaves a connection open of which it did not read all: it goes here and now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()
