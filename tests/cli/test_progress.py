"""What commands that build say of themselves."""

from __future__ import annotations

import pytest

from croze.cli.plugin import tool
from croze.cli.progress import resolved


def test_the_tool_that_takes_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", raising=False)
    assert tool() == "croze"
    monkeypatch.setenv("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND", "/usr/bin/docker")
    assert tool() == "docker"


def test_progress_that_the_environment_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDKIT_PROGRESS", "rawjson")
    assert resolved("auto") == "rawjson"
    assert resolved("plain") == "plain"
