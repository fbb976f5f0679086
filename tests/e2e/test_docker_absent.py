"""What a Docker engine may have and `crozed` has none of: clients are told so in Docker's words."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.docker_engine import running_engine


def test_what_there_is_none_of(tmp_path: Path) -> None:
    """Clients look for a name among everything that a Docker engine may have."""
    with running_engine(tmp_path) as engine:
        for command, words in (
            ("inspect", "No such object: nobody"),
            ("network rm", "network nobody not found"),
            ("volume rm", "get nobody: no such volume"),
            ("plugin inspect", 'plugin "nobody" not found'),
            ("plugin rm", 'plugin "nobody" not found'),
            ("service inspect", "This node is not a swarm manager."),
        ):
            refused = engine.docker(*command.split(), "nobody", check=False)
            assert (refused.code, words in refused.stderr) == (1, True), refused.output
        assert engine.docker("plugin", "ls", "-q").stdout == ""
        refused = engine.docker("network", "rm", "host", check=False)
        assert "host is a pre-defined network and cannot be removed" in refused.stderr
        for kind in ("swarm", "nodes", "services", "tasks", "secrets", "configs"):
            assert engine.ask("GET", f"/{kind}")[0].status == 503
        refused = engine.docker("images", "--filter", "dangling=maybe", check=False)
        assert "invalid filter 'dangling=[maybe]'" in refused.stderr
