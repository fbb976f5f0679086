"""The golden sample, case by case, and the runner itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.case import Case, run
from tests.golden.difference import differences
from tests.golden.kinds import find_cases

DATA = Path(__file__).parent / "data"
ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("case", list(find_cases(DATA / "dockerfile")), ids=lambda case: case.title)
def test_equals_buildkit(case: Case) -> None:
    assert run(case) == []


@pytest.mark.parametrize("case", list(find_cases(DATA / "export")), ids=lambda case: case.title)
def test_export_equals_buildkit(case: Case) -> None:
    assert run(case) == []


def run_cli(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.golden", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_provenance_is_compared(tmp_path: Path) -> None:
    shutil.copytree(DATA / "export" / "provenance", tmp_path, dirs_exist_ok=True)
    path = tmp_path / "simple" / "v1-max" / "statement.json"
    path.write_text(path.read_text().replace('"frontend":"dockerfile.v0"', '"frontend":"other"'))
    done = run_cli(tmp_path / "simple" / "v1-max")
    assert done.returncode == 1
    assert 'request.frontend: want "other"' in done.stdout


def test_runner_passes_on_equal_cases(tmp_path: Path) -> None:
    shutil.copytree(DATA / "dockerfile" / "from-basic", tmp_path / "some" / "where")
    done = run_cli(tmp_path)
    assert (done.returncode, done.stdout) == (0, "1 passed, 0 failed\n")


def test_runner_shows_differences_and_fails(tmp_path: Path) -> None:
    case = tmp_path / "from-basic"
    shutil.copytree(DATA / "dockerfile" / "from-basic", case)
    want = json.loads((case / "want.json").read_bytes())
    want["builds"][0]["image"]["author"] = "somebody"
    (case / "want.json").write_text(json.dumps(want))
    words = [{"env": {}, "word": "a", "escape": "\\", "want": {"word": "b"}}]
    (tmp_path / "shell.json").write_text(json.dumps(words))
    done = run_cli(tmp_path)
    assert done.returncode == 1
    assert "UNEQUAL dockerfile from-basic" in done.stdout
    assert 'builds[0].image.author: want "somebody"' in done.stdout
    assert done.stdout.endswith("\n0 passed, 2 failed\n")


def test_runner_fails_on_a_folder_without_cases(tmp_path: Path) -> None:
    done = run_cli(tmp_path)
    assert done.returncode == 1
    assert done.stdout.endswith("0 passed, 0 failed\n")


def test_runner_takes_a_crash_for_a_failure(tmp_path: Path) -> None:
    (tmp_path / "shell.json").write_text('[{"word": "a", "env": {}, "want": {}}]')
    (tmp_path / "parser.json").write_text("[{")
    done = run_cli(tmp_path)
    assert done.returncode == 1
    assert "crashed: KeyError" in done.stdout
    assert "UNEQUAL unreadable" in done.stdout
    assert done.stdout.endswith("\n0 passed, 2 failed\n")


def test_differences_tell_kinds_apart() -> None:
    assert differences({"a": [1, {"b": True}]}, {"a": [1, {"b": True}]}) == []
    assert differences({"a": [1]}, {"a": [1, 2]}) == ["a[1]: want nothing", "       got 2"]
    assert differences(True, 1)
    assert len(differences(list(range(50)), [])) == 13


KEYS, TREES = list(find_cases(DATA / "cache" / "keys")), ("contenthash", "exports", "layers")
OF_TREES = [case for name in TREES for case in find_cases(DATA / "cache" / name)]


@pytest.mark.parametrize("case", KEYS, ids=lambda case: case.title)
def test_cache_keys_equal_buildkits(case: Case) -> None:
    assert run(case) == []


@pytest.mark.root
@pytest.mark.parametrize("case", OF_TREES, ids=lambda case: case.title)
def test_digests_and_layers_equal_buildkits(case: Case) -> None:
    assert run(case) == []


@pytest.mark.parametrize("case", list(find_cases(DATA / "bake")), ids=lambda case: case.title)
def test_equals_buildx(case: Case) -> None:
    assert run(case) == []


def test_runner_shows_what_a_bake_project_differs_in(tmp_path: Path) -> None:
    case = tmp_path / "target-annotations"
    shutil.copytree(DATA / "bake" / "target-annotations", case)
    (case / "words.json").write_text("[")  # in a project, JSON of any name is its own
    want = json.loads((case / "want.json").read_bytes())
    want["stderr"] = ["ERROR: nothing"]
    (case / "want.json").write_text(json.dumps(want))
    done = run_cli(tmp_path)
    assert "UNEQUAL bake target-annotations" in done.stdout
    assert "stderr" in done.stdout
    assert done.stdout.endswith("\n0 passed, 1 failed\n")
