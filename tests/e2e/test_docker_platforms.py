"""`--platform` of Docker's commands on an image of several, by the unmodified client."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.docker_engine import Engine, Json
from tests.e2e.sandbox import execute, registry

ARM, RISCV = "linux/arm64", "linux/riscv64"


@pytest.fixture(scope="module")
def engine(engine: Engine) -> Engine:
    text = "FROM scratch\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY f /\n"
    where = engine.sandbox.context("many", {"Dockerfile": text, "f": "f\n"})
    platforms = f"--platform=linux/amd64,{ARM}"
    engine.docker("buildx", "build", platforms, "-t", "many", where)
    return engine


def _inspected(engine: Engine, name: str) -> Json:
    return json.loads(engine.docker("image", "inspect", name).stdout)[0]


def test_one_platform_is_looked_at(engine: Engine) -> None:
    shown = ["image", "inspect", "--format", '{{.Architecture}} {{index .Config.Labels "for"}}']
    assert engine.docker(*shown, "many").stdout == "amd64 amd64\n"
    assert engine.docker(*shown, f"--platform={ARM}", "many").stdout == "arm64 arm64\n"
    history = ["history", "--format", "{{.CreatedBy}}", "--no-trunc", f"--platform={ARM}", "many"]
    assert "LABEL for=arm64" in engine.docker(*history).stdout
    for words in (shown, ["history"], ["save", "-o", engine.sandbox.path / "none.tar"]):
        failed = engine.docker(*words, f"--platform={RISCV}", "many", check=False)
        assert failed.code == 1
        assert f"does not provide the specified platform ({RISCV})" in failed.stderr


def test_one_platform_is_saved_and_loaded(engine: Engine) -> None:
    folder = engine.sandbox.path
    whole, part = folder / "whole.tar", folder / "part.tar"
    engine.docker("tag", "many", "kept")
    engine.docker("save", "-o", whole, "many")
    engine.docker("save", "-o", part, f"--platform={ARM}", "many")
    child = _child(engine, "arm64")
    execute(["skopeo", "inspect", "--raw", f"oci-archive:{part}"], engine.env)
    engine.docker("rmi", "many")
    engine.docker("load", "-i", part)
    assert _inspected(engine, "many")["Id"] == child
    engine.docker("rmi", "many")
    missing = engine.docker("load", "-i", whole, f"--platform={RISCV}", check=False)
    assert f"does not provide the specified platform ({RISCV})" in missing.output
    assert not engine.docker("images", "-q", "many").stdout
    engine.docker("load", "-i", whole, f"--platform={ARM}")
    assert _inspected(engine, "many")["Id"] == child
    engine.docker("load", "-i", whole)
    assert _inspected(engine, "many")["Id"] == _inspected(engine, "kept")["Id"]
    engine.docker("rmi", "kept")


def test_one_platform_is_pushed(engine: Engine, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as host:
        engine.docker("tag", "many", f"{host}/many")
        engine.docker("push", "-q", f"--platform={ARM}", f"{host}/many")
        words = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{host}/many"]
        assert "layers" in json.loads(execute(words, engine.env).stdout)
        engine.docker("rmi", f"{host}/many")


def test_rows_say_what_they_are(engine: Engine) -> None:
    row = json.loads(engine.ask("GET", "/v1.51/images/json")[1])[0]
    assert (row["Containers"], row["Descriptor"]["digest"]) == (0, row["Id"])
    old = json.loads(engine.ask("GET", "/v1.47/images/json")[1])[0]
    assert (old["Containers"], "Descriptor" in old) == (-1, False)


def _child(engine: Engine, architecture: str) -> str:
    told = json.loads(engine.ask("GET", "/images/many/json?manifests=1")[1])
    for each in told["Manifests"]:
        data = each.get("ImageData", {}).get("Platform", {})
        if data.get("architecture") == architecture:
            return str(each["ID"])
    raise AssertionError(architecture)
