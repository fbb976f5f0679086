"""Docker contexts as the Docker CLI stores them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from croze.builders import choose
from croze.builders.contexts import Contexts
from croze.builders.files import BuilderFiles
from croze.errors import InvalidRequest, NotFound


def stored(
    folder: Path, name: str, host: str, *, certificate: bool = False, kind: str = "docker"
) -> None:
    hashed = hashlib.sha256(name.encode()).hexdigest()
    meta = folder / "contexts/meta" / hashed / "meta.json"
    meta.parent.mkdir(parents=True)
    endpoint = {"Host": host, "SkipTLSVerify": False}
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {kind: endpoint}}))
    if certificate:
        tls = folder / "contexts/tls" / hashed / "docker"
        tls.mkdir(parents=True)
        (tls / "ca.pem").write_text("")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS"):
        monkeypatch.delenv(name, raising=False)


def test_a_context_is_found_by_name(tmp_path: Path) -> None:
    stored(tmp_path, "far", "tcp://far:2376", certificate=True)
    contexts = Contexts(tmp_path)
    assert contexts.names() == ["default", "far"]
    found = contexts.get("far")
    assert found.host == "tcp://far:2376"
    assert found.tls is not None
    assert found.tls.ca is not None
    assert found.tls.cert is None
    assert contexts.find("near") is None
    with pytest.raises(NotFound, match='context "near": context not found'):
        contexts.get("near")


def test_variables_choose_a_context_before_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(tmp_path, "far", "tcp://far:2376")
    assert Contexts(tmp_path).current == "default"
    assert Contexts(tmp_path).current_endpoint == "unix:///var/run/docker.sock"
    (tmp_path / "config.json").write_text('{"currentContext": "far"}')
    assert Contexts(tmp_path).current_endpoint == "far"
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    assert Contexts(tmp_path).current == "other"
    monkeypatch.setenv("DOCKER_HOST", "tcp://here:1")
    assert Contexts(tmp_path).current == "default"
    assert Contexts(tmp_path).current_endpoint == "tcp://here:1"
    assert Contexts(tmp_path, chosen="far").current == "far"


def test_a_context_that_does_not_exist_has_no_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with Buildx: it is not passed over for the builder of somebody who chose none."""
    stored(tmp_path, "far", "tcp://far:2376")
    with BuilderFiles(tmp_path / "buildx").transaction() as builders:
        assert choose.current(builders, Contexts(tmp_path)).name == "croze"
        monkeypatch.setenv("DOCKER_CONTEXT", "far")
        assert choose.current(builders, Contexts(tmp_path)).name == "croze"
        monkeypatch.setenv("DOCKER_CONTEXT", "other")
        with pytest.raises(NotFound, match='no builder "other" found'):
            choose.current(builders, Contexts(tmp_path))


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    stored(tmp_path, "far", "tcp://far:2376")
    (meta,) = tmp_path.glob("contexts/meta/*/meta.json")
    meta.write_text("{")
    with pytest.raises(InvalidRequest, match=r"meta\.json: .*line 1"):
        Contexts(tmp_path).names()


def test_a_context_of_a_cluster_alone_has_no_engine(tmp_path: Path) -> None:
    stored(tmp_path, "cluster", "https://cluster:6443", kind="kubernetes")
    stored(tmp_path, "neither", "", kind="else")
    contexts = Contexts(tmp_path)
    with pytest.raises(InvalidRequest, match="'neither' has no docker endpoint"):
        contexts.names()
    found = contexts.get("cluster")
    assert found.kubernetes is not None
    assert found.kubernetes.settings["Host"] == "https://cluster:6443"
    with pytest.raises(NotFound, match="cannot find docker endpoint in context"):
        contexts.engine("cluster")
