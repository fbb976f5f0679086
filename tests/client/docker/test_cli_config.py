"""What the Docker CLI's configuration says of builds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.client.docker.cli_config import configured_proxies, proxy_args


def test_proxies_of_the_engine_in_force_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies = {"default": {"httpProxy": "http://p"}, "tcp://h:1": {"noProxy": "n"}}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": proxies}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", "tcp://h:2")
    assert configured_proxies() == {"HTTP_PROXY": "http://p"}
    assert proxy_args() == {"HTTP_PROXY": "http://p", "http_proxy": "http://p"}
    monkeypatch.setenv("DOCKER_HOST", "tcp://h:1")
    assert configured_proxies() == {"NO_PROXY": "n"}
