"""Settings for a daemon elsewhere, as buildx's own code made them (`data/config_files.json`: what
`confutil.LoadConfigFiles` of buildx 0.31 gave for each file)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypedDict

import pytest

from croze.builders.config_files import load_config_files
from croze.errors import InvalidRequest

CASES = Path(__file__).parent / "data/config_files.json"


class Case(TypedDict):
    name: str
    given: str
    files: dict[str, str]


def cases() -> list[Case]:
    found: list[Case] = json.loads(CASES.read_text())
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_as_buildx_writes_them(case: Case, tmp_path: Path) -> None:
    for name in ("ca", "key", "cert"):
        (tmp_path / f"{name}.pem").write_text(f"{name.upper()}\n")
    config = tmp_path / "given.toml"
    config.write_text(case["given"].replace("{certs}", str(tmp_path)))
    made = {name: data.decode() for name, data in load_config_files(str(config)).items()}
    assert made == case["files"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "buildkit configuration file not found: {path}: stat {path}: no such file"),
        ("debug = tru", "failed to load buildkit configuration file: {path}: failed to parse"),
        ('[registry."x"]\nca = ["/nonexistent"]', "failed to read CA file: /nonexistent: open"),
        ("registry = 1", "{path}: registry: a table was expected"),
        ('[registry]\n"x" = 1', '{path}: registry."x": a table was expected'),
        ('[registry."x"]\nca = "a"', '{path}: registry."x".ca: a list was expected'),
        ('[registry."x"]\nca = [1]', '{path}: registry."x": CA: a path was expected, not 1'),
        ('[registry."x"]\nkeypair = [1]', '{path}: registry."x".keypair: a table was expected'),
    ],
)
def test_what_is_wrong_is_told(text: str | None, said: str, tmp_path: Path) -> None:
    path = tmp_path / "given.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidRequest) as caught:
        load_config_files(str(path))
    assert str(caught.value).startswith(said.format(path=path))


def test_a_certificate_that_never_ends_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "given.toml"
    config.write_text('[registry."x"]\nca = ["/dev/zero"]')
    with pytest.raises(InvalidRequest, match="failed to read CA file: /dev/zero"):
        load_config_files(str(config))
