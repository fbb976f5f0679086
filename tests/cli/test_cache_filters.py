"""Filters of `prune`: the command line's, and those of the Docker CLI's configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from croze.cli import prune
from croze.cli.cache_filters import with_configured
from croze.cli.main import run


@pytest.mark.parametrize(
    ("texts", "configured", "all_of_them"),
    [
        ([], ["until=2h", "nothing"], ["until=2h"]),
        (["label=a"], ["label!=a", "label!=b"], ["label=a", "label!=b"]),
        (["label!=a"], ["label=a", "id=x"], ["label!=a", "id=x"]),
    ],
)
def test_the_configuration_adds_to_the_command_line(
    texts: list[str], configured: list[str], all_of_them: list[str]
) -> None:
    assert with_configured(texts, configured) == all_of_them


def test_what_is_configured_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setattr(prune, "with_clients", None)
    (tmp_path / "config.json").write_text(json.dumps({"pruneFilters": ["until=2h"]}))
    assert run(["prune", "--force", "--filter", "until=1h"]) == 1
    assert capsys.readouterr().err == 'ERROR: "until" filter expects only one value\n'


@pytest.mark.parametrize("flag", ["--max-used-space", "--reserved-space", "--keep-storage"])
def test_no_size_is_not_no_limit(
    flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prune, "with_clients", None)
    assert run(["prune", "--force", f"{flag}="]) == 1
    shown = f"""invalid argument "" for "{flag}" flag: invalid size: ''\n"""
    assert capsys.readouterr().err.startswith(f"ERROR: {shown}")


def test_words_of_the_command_line_are_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["prune", "--force", "--filter", 'a"b']) == 1
    assert 'invalid argument "a\\"b" for "--filter" flag: bad format' in capsys.readouterr().err
