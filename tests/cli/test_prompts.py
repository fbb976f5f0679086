"""What is asked before something is removed, and what happens to builders' nodes."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from croze.cli import prune
from croze.cli.main import run

QUESTION = "WARNING! This will remove {} build cache. Are you sure you want to continue? [y/N] "


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yes please\n"])
def test_nothing_is_pruned_without_a_yes(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An end of input is none: nobody is there to say it. The daemon is not even looked for."""
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    monkeypatch.setattr(prune, "with_clients", None)
    assert run(["prune"]) == 0
    assert capsys.readouterr().out == QUESTION.format("all dangling")


@pytest.mark.parametrize("answer", ["y\n", " Y \n"])
def test_who_says_yes_prunes(
    answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(answer))
    monkeypatch.setattr(prune, "with_clients", lambda *_, **__: [3, 4])
    assert run(["prune", "--all"]) == 0
    assert capsys.readouterr().out == f"{QUESTION.format('all')}Total:\t7B\n"


def test_a_node_leaves_its_builder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUILDX_CONFIG", str(tmp_path))
    node: dict[str, object] = {
        "Endpoint": "tcp://127.0.0.1:1",
        "Platforms": None,
        "Flags": None,
        "DriverOpts": {},
    }
    nodes = [{**node, "Name": name, "Endpoint": f"tcp://{name}:1"} for name in ("b0", "b1")]
    stored = tmp_path / "instances/b"
    stored.parent.mkdir()
    stored.write_text(json.dumps({"Name": "b", "Driver": "remote", "Nodes": nodes}))
    for words, problem in (
        (["--node=b0"], "leave requires instance name"),
        (["--name=b"], "leave requires node name"),
        (["--name=c", "--node=b0"], 'failed to find instance "c" for leave'),
        (["--name=b", "--node=b7"], 'node "b7" not found for b'),
    ):
        assert run(["create", "--leave", *words]) == 1
        assert problem in capsys.readouterr().err
    assert run(["create", "--leave", "--name=b", "--node=b0"]) == 0
    assert [each["Name"] for each in json.loads(stored.read_text())["Nodes"]] == ["b1"]
    assert run(["create", "--leave", "--name=b", "--node=b1"]) == 1
    assert "can not leave last node" in capsys.readouterr().err
