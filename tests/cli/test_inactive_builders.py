"""`rm --all-inactive`, and `ls` of builders that can't be loaded: what buildx does with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.cli.main import run

REMOTE = {"Endpoint": "unix:///nowhere/at.sock", "Platforms": None}


@pytest.fixture
def instances(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A builder that is down, one that comes and goes with its pods, and one of no known driver."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.delenv("BUILDX_CONFIG", raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    folder = tmp_path / "buildx/instances"
    folder.mkdir(parents=True)
    for name, driver, dynamic in (
        ("down", "remote", False),
        ("pods", "kubernetes", True),
        ("strange", "nope", False),
    ):
        nodes = [{"Name": f"{name}0", **REMOTE, "Flags": None, "DriverOpts": None, "Files": None}]
        value = {"Name": name, "Driver": driver, "Nodes": nodes, "Dynamic": dynamic}
        (folder / name).write_text(json.dumps(value))
    return folder


def test_what_can_not_be_loaded_stays(instances: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rm", "--all-inactive", "--force"]) == 1
    said = capsys.readouterr().err
    assert said == 'down removed\nERROR: cannot load strange: failed to find driver "nope"\n'
    assert sorted(path.name for path in instances.iterdir()) == ["pods", "strange"]


def test_a_builder_is_listed_with_its_own_error(
    instances: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (instances / "pods").unlink()
    assert run(["ls", "--format", "{{.Name}}|{{.DriverEndpoint}}|{{.Status}}|{{.Error}}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "down|remote||" in lines
    assert "down0|unix:///nowhere/at.sock|inactive|" in lines
    assert 'strange|nope|error|failed to find driver "nope"' in lines
    assert not [line for line in lines if line.startswith("strange0")]
    assert run(["ls", "--format", "json"]) == 0
    listed = map(json.loads, capsys.readouterr().out.splitlines())
    strange = next(one for one in listed if one["Name"] == "strange")
    assert strange["Err"] == 'failed to find driver "nope"'
    assert strange["Nodes"] == [{"Endpoint": "", "Name": ""}]


@pytest.mark.parametrize(("words", "debug"), [(["-D"], ""), ([], "1")])
def test_its_features_are_listed_to_who_debugs(
    words: list[str],
    debug: str,
    instances: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEBUG", debug)
    assert run([*words, "inspect", "down"]) == 0
    assert "\n Direct push: " in capsys.readouterr().out


def test_a_builder_of_no_driver_goes_if_its_daemon_may_stay(
    instances: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rm", "--keep-daemon", "strange"]) == 0
    assert capsys.readouterr().err == "strange removed\n"


def test_a_template_is_filled_in_for_nodes_too(
    instances: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(format: str) -> dict[str, int]:
        assert run(["ls", "--format", format]) == 0
        names = [json.loads(line)["Name"] for line in capsys.readouterr().out.splitlines()]
        return {name: names.count(name) for name in ("down", "strange")}

    assert counted("json") == {"down": 1, "strange": 1}
    assert counted("{{json .}}") == {"down": 2, "strange": 1}


def test_nodes_are_listed_with_the_proxies_of_their_builds(
    instances: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proxies = {
        "default": {"httpProxy": "http://other"},
        "unix:///nowhere/docker.sock": {"httpProxy": "http://p", "noProxy": "n"},
    }
    config = instances.parents[1] / "config.json"
    config.write_text(json.dumps({"proxies": proxies}))
    assert run(["ls", "--format", "json"]) == 0
    listed = map(json.loads, capsys.readouterr().out.splitlines())
    (node,) = next(one for one in listed if one["Name"] == "down")["Nodes"]
    assert node["ProxyConfig"] == {"HTTP_PROXY": "http://p", "NO_PROXY": "n"}
