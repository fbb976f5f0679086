"""Settings are read from files, whatever else has taken their place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from croze.builders.contexts import Contexts
from croze.builders.files import BuilderFiles
from croze.builders.localstate import read
from croze.client.layouts import ociindex
from croze.client.layouts.cache_reset import reset
from croze.errors import CrozeError, InvalidRequest
from croze.files.settings import LIMIT_BYTES, parse_settings, read_settings
from croze.gotypes.template import TemplateError, check
from croze.image.manifest import detect_media_type, parse_manifest
from croze.session.dockerconfig import DockerConfig
from croze.session.providers.auth import _host_secret


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError) as caught:
            read_settings(path)
        assert caught.value.filename == str(path)
    assert read_settings(Path("/dev/null")) == b""


def test_a_file_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.touch()
    os.truncate(path, LIMIT_BYTES)
    assert len(read_settings(path)) == LIMIT_BYTES
    os.truncate(path, LIMIT_BYTES + 1)
    with pytest.raises(OSError, match="File too large"):
        read_settings(path)


def builder(folder: Path) -> object:
    with BuilderFiles(folder).transaction() as stored:
        return stored.builders()


def current(folder: Path) -> object:
    with BuilderFiles(folder).transaction() as stored:
        return stored.current("unix:///a")


def activity(folder: Path) -> object:
    with BuilderFiles(folder).transaction() as stored:
        return stored.last_activity("one")


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("instances/one", builder),
        ("current", current),
        ("activity/one", activity),
        ("config.json", lambda folder: Contexts(folder).current),
        ("contexts/meta/x/meta.json", lambda folder: Contexts(folder).names()),
        ("config.json", lambda _: DockerConfig.load()),
    ],
)
def test_nobody_waits_for_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ask: Callable[[Path], object]
) -> None:
    for variable in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises((OSError, CrozeError), match="not a regular file"):
        ask(tmp_path)


def test_a_build_that_is_a_pipe_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "refs/b/n").mkdir(parents=True)
    os.mkfifo(tmp_path / "refs/b/n/one")
    assert read(tmp_path, "b", "n", "one") is None


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    with BuilderFiles(tmp_path).transaction() as stored:
        stored.set_current("unix:///a", "one", anywhere=False, default=True)
        (default,) = (tmp_path / "defaults").iterdir()
        default.write_bytes(b"\xff")
        (tmp_path / "current").unlink()
        with pytest.raises(InvalidRequest, match="no builder's name"):
            stored.current("unix:///a")
        (tmp_path / "activity/one").write_bytes(b"\xff")
        with pytest.raises(InvalidRequest, match="is no time"):
            stored.last_activity("one")


def test_settings_that_are_empty_or_without_end() -> None:
    assert parse_settings(b"") == {}
    with pytest.raises(ValueError, match="exceeded max depth"):
        parse_settings(b"[" * 200_000)


@pytest.mark.parametrize("text", ["[]", "{", '{"h": {"Seed": "%"}}', '{"h": {"Seed": "a"}}'])
def test_token_seeds_that_are_none_are_made_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".token_seed"
    path.write_text(text)
    seed = _host_secret("h", path)
    assert seed
    assert _host_secret("h", path) == seed


DEEP = b"[" * 200_000


def test_layouts_without_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_bytes(DEEP)
    with pytest.raises(InvalidRequest, match="could not unmarshal"):
        ociindex.manifests(tmp_path)
    with pytest.raises(InvalidRequest, match="could not unmarshal"):
        ociindex.put(tmp_path, {"digest": "sha256:" + "0" * 64}, tag="x")


def test_a_layout_that_names_itself_is_read_once(tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    kind = "application/vnd.oci.image.index.v1+json"
    text = json.dumps({"manifests": [{"digest": digest, "mediaType": kind}]})
    blob = tmp_path / "blobs" / digest.replace(":", "/")
    blob.parent.mkdir(parents=True)
    for path in (blob, tmp_path / "index.json"):
        path.write_text(text)
    (blob.parent / ("1" * 64)).touch()
    reset(tmp_path)
    assert list(blob.parent.iterdir()) == [blob]


def test_manifests_and_configs_without_end_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="invalid manifest"):
        parse_manifest(DEEP)
    with pytest.raises(InvalidRequest):
        detect_media_type(b'{"layers":' + DEEP)


def test_templates_without_end_are_refused() -> None:
    with pytest.raises(TemplateError, match="max expression depth exceeded"):
        check("{{" + "(" * 20_000 + "1" + ")" * 20_000 + "}}")
